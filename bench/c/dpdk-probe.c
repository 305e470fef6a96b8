// The peer of latency/pacer.ts on a DPDK port: packets at a steady rate, with a sequence number and the time they left, round
// trips in a histogram of 0.1 us. Arguments after --: bytes, milliseconds, shares of the full load. Prints a line of JSON for
// full load and each share.
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST 32
#define BUCKETS 200000
#define BUCKETS_PER_US 10
#define DESCRIPTORS 1024

static uint32_t histogram[BUCKETS];

static double quantile(double part, uint64_t total)
{
	double left = part * (double)total;
	for (int i = 0; i < BUCKETS; i++) {
		left -= histogram[i];
		if (left <= 0 && total > 0)
			return (double)(i + 1) / BUCKETS_PER_US;
	}
	return 0;
}

// Buckets of a quarter of a factor of two, as logHistogram of measure.ts; those with nothing in them are left out.
static void print_histogram(uint64_t total)
{
	const char *between = "";
	uint64_t sum = 0;
	int last = INT_MIN;
	printf("\"histogram\":[");
	for (int i = 0; i <= BUCKETS; i++) {
		const int at = i == BUCKETS ? INT_MAX : (int)ceil(4 * log2((double)(i + 1) / BUCKETS_PER_US));
		if (at != last && sum > 0) {
			printf("%s[%.4g,%g]", between, exp2(last / 4.0), (double)sum / (double)total);
			between = ",";
			sum = 0;
		}
		last = at;
		if (i < BUCKETS)
			sum += histogram[i];
	}
	printf("]}\n");
}

// One run; returns packets a second that came back.
static double pace(struct rte_mempool *pool, int bytes, double ms, double share, double full)
{
	struct rte_mbuf *pkts[BURST];
	uint64_t sent = 0, received = 0, counted = 0;
	const double per_us = full == 0 ? 0 : share * full / 1e6;
	const double us_per_cycle = 1e6 / (double)rte_get_tsc_hz();
	const double from = ms * 250, to = from + ms * 1000, drain = 500000;
	const uint64_t start = rte_rdtsc();
	static const uint8_t head[16] = { 2, 0, 0, 0, 0, 0x77, 2, 0, 0, 0, 0, 0x78, 0x88, 0xb5 };

	memset(histogram, 0, sizeof(histogram));
	for (;;) {
		const double now = (double)(rte_rdtsc() - start) * us_per_cycle;
		uint16_t n = rte_eth_rx_burst(0, 0, pkts, BURST);
		for (uint16_t i = 0; i < n; i++) {
			const uint32_t *data = rte_pktmbuf_mtod(pkts[i], const uint32_t *);
			if (now < from || now >= to)
				continue;
			double trip = now * BUCKETS_PER_US - data[4];
			int bucket = trip < 0 ? 0 : trip >= BUCKETS ? BUCKETS - 1 : (int)trip;
			histogram[bucket]++;
			counted++;
		}
		if (n > 0) {
			rte_pktmbuf_free_bulk(pkts, n);
			received += n;
		}
		if (now >= to) {
			if (received == sent || now > to + drain)
				break;
			continue;
		}
		int64_t due = full == 0 ? BURST : (int64_t)(now * per_us) - (int64_t)sent;
		if (due > BURST)
			due = BURST;
		if (due <= 0 || rte_pktmbuf_alloc_bulk(pool, pkts, due) != 0)
			continue;
		for (int64_t i = 0; i < due; i++) {
			uint32_t *data = rte_pktmbuf_mtod(pkts[i], uint32_t *);
			memcpy(data, head, sizeof(head));
			data[4] = (uint32_t)(now * BUCKETS_PER_US);
			data[5] = (uint32_t)(sent + i);
			pkts[i]->data_len = bytes;
			pkts[i]->pkt_len = bytes;
		}
		uint16_t taken = rte_eth_tx_burst(0, 0, pkts, due);
		sent += taken;
		if (taken < due)
			rte_pktmbuf_free_bulk(pkts + taken, due - taken);
	}
	const double pps = (double)counted * 1000 / ms;
	printf("{\"share\":%g,\"sent\":%lu,\"received\":%lu,\"pps\":%.0f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,",
	       share, sent, received, pps, quantile(0.5, counted), quantile(0.9, counted), quantile(0.99, counted),
	       quantile(0.999, counted));
	print_histogram(counted);
	return pps;
}

int main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);
	if (used < 0 || argc - used < 4)
		return 2;
	argv += used + 1;
	argc -= used + 1;
	struct rte_mempool *pool = rte_pktmbuf_pool_create("pool", 16384, 250, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	struct rte_eth_conf conf = { 0 };
	struct rte_eth_link link = { 0 };
	if (pool == NULL || rte_eth_dev_configure(0, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup(0, 0, DESCRIPTORS, 0, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup(0, 0, DESCRIPTORS, 0, NULL) != 0 || rte_eth_dev_start(0) != 0)
		return 1;
	rte_eth_promiscuous_enable(0);
	for (int i = 0; i < 100 && link.link_status == 0; i++) {
		rte_delay_ms(50);
		rte_eth_link_get_nowait(0, &link);
	}
	rte_delay_ms(500);
	const double full = pace(pool, atoi(argv[0]), atof(argv[1]), 1, 0);
	for (int i = 2; i < argc; i++)
		pace(pool, atoi(argv[0]), atof(argv[1]), atof(argv[i]), full);
	fflush(stdout);
	rte_eth_dev_stop(0);
	rte_eth_dev_close(0);
	rte_eal_cleanup();
	return 0;
}
