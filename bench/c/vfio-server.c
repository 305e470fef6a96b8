// The smallest vfio-user server that a transport bench can talk to: one client at a time, blocking, one region of plain
// memory, DMA regions mapped for real. It reads as libvfio-user does: 16 bytes of header with recvmsg, since file
// descriptors come with them, then the body with recv; one send for the reply. With a second argument it polls, in the
// best form that we know: it looks at its socket all the time, and answers a register access before it takes it out, as
// ours does. Compiled and started by src/transport/peers.ts, with the path of its socket as its first argument.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { VERSION = 1, DMA_MAP = 2, DMA_UNMAP = 3, REGION_READ = 9, REGION_WRITE = 10 };
enum { REPLY = 1, NO_REPLY = 0x10, ERROR = 0x20, REGION_BYTES = 65536, MAX_REGIONS = 4096, MAX_BODY = 1 << 20, FIRST_READ = 36 };

struct header { uint16_t id, command; uint32_t size, flags, error; };
struct access { uint64_t offset; uint32_t region, count; };
struct map { uint32_t argsz, flags; uint64_t offset, iova, size; };
struct unmap { uint32_t argsz, flags; uint64_t iova, size; };

static const char CAPABILITIES[] = "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576}}";
static uint8_t region[REGION_BYTES];
static uint8_t body[MAX_BODY], reply[MAX_BODY];
static struct { uint64_t iova, size; void *at; } regions[MAX_REGIONS];
static int region_count;
static int polls;

static int receive(int socket, struct header *header, int *fd) {
	union { char bytes[CMSG_SPACE(16 * sizeof(int))]; struct cmsghdr align; } control;
	struct iovec iov[2] = {{header, sizeof *header}, {body, FIRST_READ - sizeof *header}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = polls ? 2 : 1, .msg_control = &control, .msg_controllen = sizeof control};
	ssize_t got;
	do got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | (polls ? MSG_DONTWAIT : MSG_WAITALL));
	while (polls && got < 0 && errno == EAGAIN);
	if (got < (ssize_t)sizeof *header || header->size < sizeof *header || header->size - sizeof *header > MAX_BODY) return -1;
	*fd = -1;
	struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);
	if (rights != NULL && rights->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(rights), sizeof *fd);
	size_t length = header->size - sizeof *header, have = got - sizeof *header;
	if (have > length) return -1; // polling, this server takes no messages behind each other
	if (have == length) return 0;
	return recv(socket, body + have, length - have, MSG_WAITALL) == (ssize_t)(length - have) ? 0 : -1;
}

/* Bytes of the reply's payload, or -errno. */
static int64_t serve(const struct header *header, int fd, uint8_t *out) {
	size_t length = header->size - sizeof *header;
	if (header->command == VERSION) {
		memcpy(out, body, 4);
		memcpy(out + 4, CAPABILITIES, sizeof CAPABILITIES);
		return 4 + sizeof CAPABILITIES;
	}
	if (header->command == REGION_READ || header->command == REGION_WRITE) {
		struct access access;
		if (length < sizeof access) return -EINVAL;
		memcpy(&access, body, sizeof access);
		if (access.region != 0 || access.count > REGION_BYTES || access.offset > REGION_BYTES - access.count) return -EINVAL;
		memcpy(out, &access, sizeof access);
		if (header->command == REGION_READ) {
			memcpy(out + sizeof access, region + access.offset, access.count);
			return sizeof access + access.count;
		}
		if (length != sizeof access + access.count) return -EINVAL;
		memcpy(region + access.offset, body + sizeof access, access.count);
		return sizeof access;
	}
	if (header->command == DMA_MAP) {
		struct map map;
		if (length < sizeof map || fd < 0 || region_count == MAX_REGIONS) return -EINVAL;
		memcpy(&map, body, sizeof map);
		for (int i = 0; i < region_count; i++)
			if (map.iova < regions[i].iova + regions[i].size && regions[i].iova < map.iova + map.size) return -EEXIST;
		void *at = mmap(NULL, map.size, map.flags & 3, MAP_SHARED, fd, map.offset);
		if (at == MAP_FAILED) return -errno;
		regions[region_count].iova = map.iova;
		regions[region_count].size = map.size;
		regions[region_count++].at = at;
		return 0;
	}
	if (header->command == DMA_UNMAP) {
		struct unmap unmap;
		if (length < sizeof unmap) return -EINVAL;
		memcpy(&unmap, body, sizeof unmap);
		for (int i = 0; i < region_count; i++) {
			if (regions[i].iova != unmap.iova || regions[i].size != unmap.size) continue;
			munmap(regions[i].at, regions[i].size);
			regions[i] = regions[--region_count];
			memcpy(out, body, sizeof unmap);
			return sizeof unmap;
		}
		return -ENOENT;
	}
	return -EINVAL;
}

/* Waits awake for a register access that is alone, and answers it before taking it out: 1; 0 for anything else. */
static int answer_at_a_peek(int socket) {
	struct header header;
	uint8_t request[FIRST_READ];
	ssize_t got;
	do got = recv(socket, request, sizeof request, MSG_PEEK | MSG_DONTWAIT);
	while (got < 0 && errno == EAGAIN);
	if (got < (ssize_t)sizeof header) return 0;
	memcpy(&header, request, sizeof header);
	if (header.size != got || header.flags != 0) return 0;
	if (header.command != REGION_READ && header.command != REGION_WRITE) return 0;
	memcpy(body, request + sizeof header, got - sizeof header);
	int64_t length = serve(&header, -1, reply + sizeof header);
	if (length < 0) return 0;
	header.flags = REPLY;
	header.size = sizeof header + length;
	memcpy(reply, &header, sizeof header);
	return send(socket, reply, header.size, MSG_NOSIGNAL | MSG_DONTWAIT) == header.size &&
	       recv(socket, request, got, MSG_DONTWAIT) == got;
}

static void converse(int socket) {
	struct header header;
	int fd;
	for (;;) {
		while (polls && answer_at_a_peek(socket)) continue;
		if (receive(socket, &header, &fd) != 0) break;
		int64_t length = serve(&header, fd, reply + sizeof header);
		if (fd >= 0) close(fd);
		if (header.flags & NO_REPLY) continue;
		header.flags = length < 0 ? REPLY | ERROR : REPLY;
		header.error = length < 0 ? -length : 0;
		header.size = sizeof header + (length < 0 ? 0 : length);
		memcpy(reply, &header, sizeof header);
		if (send(socket, reply, header.size, MSG_NOSIGNAL) != header.size) break;
	}
	for (; region_count > 0; region_count--) munmap(regions[region_count - 1].at, regions[region_count - 1].size);
}

int main(int argc, char **argv) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if ((argc != 2 && argc != 3) || strlen(argv[1]) >= sizeof address.sun_path) return 2;
	polls = argc == 3;
	strcpy(address.sun_path, argv[1]);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(argv[1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0) return 1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		int socket = accept(listener, NULL, NULL);
		if (socket < 0) return 1;
		converse(socket);
		close(socket);
	}
}
