// rte_ring under the ring benches' work: bursts of 32 through an SP/SC ring of 1024, on one lcore or from one to another, of
// pointers as rte_ring carries them or of 4-byte elements as ours do. Reads lines "one|two ptr|u32 OBJECTS" from standard
// input; answers each with nanoseconds and TSC cycles an object. Between lines both lcores sleep. Started by rings/rte-ring.ts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#define BURST 32
#define SLOTS 1024

static struct rte_ring *pointers, *words;
static uint32_t total;
static uint32_t started;

static int produce_pointers(void *arg)
{
	void *objs[BURST];
	for (uint32_t i = 0; i < BURST; i++)
		objs[i] = (void *)(uintptr_t)(i + 1);
	__atomic_store_n(&started, 1, __ATOMIC_RELEASE);
	for (uint32_t sent = 0; sent < total;)
		sent += rte_ring_sp_enqueue_bulk(pointers, objs, BURST, NULL);
	return 0;
}

static int produce_words(void *arg)
{
	uint32_t objs[BURST];
	for (uint32_t i = 0; i < BURST; i++)
		objs[i] = i + 1;
	__atomic_store_n(&started, 1, __ATOMIC_RELEASE);
	for (uint32_t sent = 0; sent < total;)
		sent += rte_ring_sp_enqueue_bulk_elem(words, objs, sizeof(objs[0]), BURST, NULL);
	return 0;
}

// Each returns the sum of the objects of the last burst: 32 * 33 / 2 when the work was done.
static uint64_t two(int wide)
{
	void *objs[BURST] = { 0 };
	uint32_t small[BURST] = { 0 };
	uint64_t sum = 0;
	if (wide) {
		for (uint32_t got = 0; got < total;)
			got += rte_ring_sc_dequeue_bulk(pointers, objs, BURST, NULL);
	} else {
		for (uint32_t got = 0; got < total;)
			got += rte_ring_sc_dequeue_bulk_elem(words, small, sizeof(small[0]), BURST, NULL);
	}
	for (int i = 0; i < BURST; i++)
		sum += wide ? (uintptr_t)objs[i] : small[i];
	return sum;
}

static uint64_t one(int wide)
{
	void *objs[BURST], *out[BURST] = { 0 };
	uint32_t small[BURST], smallOut[BURST] = { 0 };
	uint64_t sum = 0;
	for (uint32_t i = 0; i < BURST; i++) {
		objs[i] = (void *)(uintptr_t)(i + 1);
		small[i] = i + 1;
	}
	for (uint32_t got = 0; got < total;) {
		if (wide) {
			rte_ring_sp_enqueue_bulk(pointers, objs, BURST, NULL);
			got += rte_ring_sc_dequeue_bulk(pointers, out, BURST, NULL);
		} else {
			rte_ring_sp_enqueue_bulk_elem(words, small, sizeof(small[0]), BURST, NULL);
			got += rte_ring_sc_dequeue_bulk_elem(words, smallOut, sizeof(small[0]), BURST, NULL);
		}
	}
	for (int i = 0; i < BURST; i++)
		sum += wide ? (uintptr_t)out[i] : smallOut[i];
	return sum;
}

int main(int argc, char **argv)
{
	char line[128], way[8], kind[8];
	if (rte_eal_init(argc, argv) < 0)
		return 2;
	const unsigned int flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	const unsigned int peer = rte_get_next_lcore(-1, 1, 0);
	pointers = rte_ring_create("pointers", SLOTS, rte_socket_id(), flags);
	words = rte_ring_create_elem("words", sizeof(uint32_t), SLOTS, rte_socket_id(), flags);
	if (pointers == NULL || words == NULL || peer == RTE_MAX_LCORE)
		return 1;
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "%7s %7s %u", way, kind, &total) != 3)
			return 2;
		const int wide = strcmp(kind, "ptr") == 0, both = strcmp(way, "two") == 0;
		if (both) {
			// The producer is awake before the clock starts, as in ours.
			__atomic_store_n(&started, 0, __ATOMIC_RELAXED);
			rte_eal_remote_launch(wide ? produce_pointers : produce_words, NULL, peer);
			while (__atomic_load_n(&started, __ATOMIC_ACQUIRE) == 0)
				rte_pause();
		}
		const uint64_t from = rte_rdtsc_precise();
		const uint64_t sum = both ? two(wide) : one(wide);
		const double cycles = (double)(rte_rdtsc_precise() - from) / total;
		if (both)
			rte_eal_wait_lcore(peer);
		const int done = sum == BURST * (BURST + 1) / 2 && rte_ring_empty(wide ? pointers : words);
		printf("{\"ns\":%.4f,\"cycles\":%.3f,\"done\":%s}\n", cycles * 1e9 / (double)rte_get_tsc_hz(), cycles,
		       done ? "true" : "false");
		fflush(stdout);
	}
	rte_eal_cleanup();
	return 0;
}
