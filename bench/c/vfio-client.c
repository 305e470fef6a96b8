// The client of the transport bench, the same for every server: one request at a time (posted writes: all of them, then
// a read that shows that they have been taken). Its cost is small and the same whoever answers. It waits for replies
// asleep, or with `spin` awake, so that what is measured is the server's waking up and not its own.
//   vfio-client PATH JOB COUNT [spin]     JOB: read | write | post | map | connect
// Prints nanoseconds as JSON: quantiles over the COUNT operations and the time of all together.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { VERSION = 1, DMA_MAP = 2, DMA_UNMAP = 3, REGION_READ = 9, REGION_WRITE = 10, NO_REPLY = 0x10 };

struct header { uint16_t id, command; uint32_t size, flags, error; };
struct access { struct header header; uint64_t offset; uint32_t region, count, data; } __attribute__((packed));
struct map { struct header header; uint32_t argsz, flags; uint64_t offset, iova, size; };
struct unmap { struct header header; uint32_t argsz, flags; uint64_t iova, size; };

static const char *path;
static int peer;
static uint16_t next_id;
static int receive_flags;
static uint8_t reply[4096];

static void fail(const char *what) {
	fprintf(stderr, "vfio-client: %s: ", what);
	perror(NULL);
	exit(1);
}

static uint64_t now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void transmit(void *message, uint32_t size, int fd) {
	struct header *header = message;
	header->id = ++next_id;
	header->size = size;
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
	struct iovec iov = {message, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof control;
		struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);
		*rights = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(rights), &fd, sizeof fd);
	}
	if (sendmsg(peer, &msg, MSG_NOSIGNAL) != size) fail("sendmsg");
}

static void await(void) {
	struct header header;
	size_t have = 0, need = sizeof header;
	while (have < need) {
		ssize_t got = recv(peer, reply + have, sizeof reply - have, receive_flags);
		if (got < 0 && errno == EAGAIN) continue;
		if (got <= 0) fail("recv");
		have += got;
		if (have < sizeof header) continue;
		memcpy(&header, reply, sizeof header);
		need = header.size;
	}
	if (have != need || header.id != next_id || header.flags != 1) {
		fprintf(stderr, "vfio-client: a reply of %zu bytes, flags %#x, errno %u\n", have, header.flags, header.error);
		exit(1);
	}
}

static void make_ready(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(peer, (struct sockaddr *)&address, sizeof address) < 0) fail(path);
	struct { struct header header; uint16_t major, minor; char json[128]; } version = {.header.command = VERSION};
	strcpy(version.json, "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}");
	transmit(&version, sizeof version.header + 4 + strlen(version.json) + 1, -1);
	await();
}

static void region_read(uint32_t offset) {
	struct access access = {.header.command = REGION_READ, .offset = offset, .count = 4};
	transmit(&access, sizeof access - 4, -1);
	await();
}

static void region_write(uint32_t offset, uint32_t flags) {
	struct access access = {{.command = REGION_WRITE, .flags = flags}, offset, 0, 4, offset};
	transmit(&access, sizeof access, -1);
	if (!(flags & NO_REPLY)) await();
}

static void map_and_unmap(uint64_t i, int fd) {
	struct map map = {.header.command = DMA_MAP, .argsz = 32, .flags = 3, .iova = (i & 1023) << 21, .size = 1 << 21};
	transmit(&map, sizeof map, fd);
	await();
	struct unmap unmap = {.header.command = DMA_UNMAP, .argsz = 24, .iova = map.iova, .size = map.size};
	transmit(&unmap, sizeof unmap, -1);
	await();
}

static int compare(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
	if (argc != 4 && argc != 5) return 2;
	if (argc == 5) receive_flags = MSG_DONTWAIT;
	path = argv[1];
	const char *job = argv[2];
	uint64_t count = strtoull(argv[3], NULL, 10), *times = calloc(count, sizeof *times);
	int fd = memfd_create("bench", MFD_CLOEXEC);
	if (times == NULL || count == 0 || ftruncate(fd, 1 << 21) < 0) fail("set-up");
	if (strcmp(job, "connect") != 0) make_ready();
	for (int i = 0; i < 1000 && strcmp(job, "connect") != 0; i++) region_read(0);
	uint64_t begin = now();
	for (uint64_t i = 0; i < count; i++) {
		uint64_t start = now();
		uint32_t offset = (i & 1023) * 4;
		if (strcmp(job, "read") == 0) region_read(offset);
		else if (strcmp(job, "write") == 0) region_write(offset, 0);
		else if (strcmp(job, "post") == 0) region_write(offset, NO_REPLY);
		else if (strcmp(job, "map") == 0) map_and_unmap(i, fd);
		else {
			make_ready();
			times[i] = now() - start;
			// The next one is served only when the server has seen the end of this one and has cleaned up.
			close(peer);
			usleep(2000);
			continue;
		}
		times[i] = now() - start;
	}
	if (strcmp(job, "post") == 0) region_read(0);
	uint64_t total = now() - begin;
	qsort(times, count, sizeof *times, compare);
	printf("{\"p50\":%lu,\"p99\":%lu,\"p999\":%lu,\"total\":%lu}\n", times[count / 2], times[count * 99 / 100],
	       times[count * 999 / 1000], total);
	return 0;
}
