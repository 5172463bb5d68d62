/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbered UDP datagrams between the hosts of a tenant: one process per host sends to every other host at a steady rate
 * and keeps the books of what it receives from each: every number once, none twice, and for each hole when it began and
 * ended by the sender's clock (CLOCK_MONOTONIC, the same for all hosts of one machine).
 *
 * The file --live appears when the process is ready: an array of struct live by host number, to be watched. SIGUSR2
 * starts sending, SIGUSR1 stops it, SIGTERM ends the process with a report (JSON, standard output).
 */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	HOSTS_MAX = 8,
	PORT = 4000,
	BURST = 64,
	SIZE_MAX_BYTES = 1472,
	TICK_NS = 2000000,        /* at least */
	TICK_NS_MAX = 100000000,  /* hundreds of slow flows are not to wake up for nothing */
	NUMBERS_MAX = 1 << 26,    /* datagrams of one flow */
	HOLES_MAX = 1 << 16,      /* of one flow */
	RECEIVE_BUFFER = 8 << 20, /* bytes */
	SECOND_NS = 1000000000,
	TRAILERS = 100, /* to each host, one a tick, when sending has stopped */
};

/* Number of a datagram that counts for nothing: it comes behind the last one, in case a queue waits for another frame.
 */
#define TRAILER UINT64_MAX

/* What a datagram begins with; then comes the pattern. Host byte order: it never leaves the machine. */
struct head {
	uint64_t token; /* the same for all hosts of a tenant in one run, another one for every tenant */
	uint64_t number;
	uint64_t sent_ns;
	uint16_t source, destination;
	uint32_t zero;
};

struct hole {
	uint64_t first, last;         /* numbers that were skipped, some may have come later */
	uint64_t before_ns, after_ns; /* when the datagrams around it were sent */
};

/* Counters of one other host, in the file --live; layout known to __init__.py. */
struct live {
	uint64_t sent;       /* to it */
	uint64_t received;   /* from it, each number once */
	uint64_t duplicates; /* numbers that came again */
	uint64_t arrived_ns; /* when the last one came */
	uint64_t sent_ns;    /* and when it had been sent */
};

struct host {
	bool there;
	struct sockaddr_in address;
	uint8_t *seen;     /* a bit for each number */
	uint64_t expected; /* highest number received + 1 */
	uint64_t expected_ns;
	uint64_t late; /* came after a higher number */
	struct hole *holes;
	size_t hole_count, holes_unlisted;
};

static struct {
	unsigned int self;
	struct in_addr listen;
	unsigned int rate, size;
	uint64_t token;
	const char *live_path;

	int socket, timer, signals;
	bool sending;
	unsigned int trailers; /* still to be sent */
	struct host hosts[HOSTS_MAX];
	struct live *live;
	uint8_t pattern[16];
	uint8_t output[BURST][SIZE_MAX_BYTES];
	uint8_t input[BURST][SIZE_MAX_BYTES + 1];
	uint64_t start_ns;
	uint64_t refused; /* sends that were put off: the socket was full */
	uint64_t foreign; /* received, but not of this tenant and run, or not for this host */
	uint64_t damaged;
	uint32_t overflow; /* dropped by the kernel as the socket was full (SO_RXQ_OVFL) */
} self;

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
	(void)fprintf(stderr, "flows: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- sending --- */

static void fill(uint8_t *at, size_t length)
{
	for (size_t i = 0; i < length; i++)
		at[i] = self.pattern[i % sizeof(self.pattern)];
}

static unsigned int send_to(unsigned int number, uint64_t count)
{
	struct host *host = &self.hosts[number];
	struct mmsghdr messages[BURST] = {0};
	struct iovec vectors[BURST];
	unsigned int burst = count < BURST ? (unsigned int)count : BURST;
	uint64_t next = self.live[number].sent;
	int sent;

	for (unsigned int i = 0; i < burst; i++) {
		struct head head = {.token = self.token,
			.number = next + i,
			.sent_ns = now_ns(),
			.source = (uint16_t)self.self,
			.destination = (uint16_t)number};

		memcpy(self.output[i], &head, sizeof(head));
		vectors[i] = (struct iovec){.iov_base = self.output[i], .iov_len = self.size};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &host->address,
			.msg_namelen = sizeof(host->address),
			.msg_iov = &vectors[i],
			.msg_iovlen = 1};
	}
	sent = sendmmsg(self.socket, messages, burst, MSG_DONTWAIT);
	if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
		fail("sendmmsg");
	if (sent < 0)
		sent = 0;
	self.refused += burst - (unsigned int)sent;
	self.live[number].sent += (unsigned int)sent;
	return (unsigned int)sent;
}

static void send_trailers(void)
{
	if (self.trailers == 0)
		return;
	self.trailers--;
	for (unsigned int number = 0; number < HOSTS_MAX; number++) {
		struct head head = {.token = self.token,
			.number = TRAILER,
			.source = (uint16_t)self.self,
			.destination = (uint16_t)number};

		if (self.hosts[number].there)
			(void)sendto(self.socket, &head, sizeof(head), MSG_DONTWAIT,
				(struct sockaddr *)&self.hosts[number].address, sizeof(self.hosts[number].address));
	}
}

/* What is due goes out; what the socket does not take now is tried again at the next tick, with the same numbers. */
static void send_due(void)
{
	uint64_t expirations, due;

	if (read(self.timer, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		fail("timer");
	if (!self.sending) {
		send_trailers();
		return;
	}
	due = (now_ns() - self.start_ns) / 1000 * self.rate / 1000000;
	for (unsigned int number = 0; number < HOSTS_MAX; number++) {
		if (!self.hosts[number].there)
			continue;
		while (self.live[number].sent < due && self.live[number].sent < NUMBERS_MAX)
			if (send_to(number, due - self.live[number].sent) == 0)
				break;
	}
}

/* --- receiving --- */

static void note_hole(struct host *host, const struct head *head)
{
	if (head->number == host->expected)
		return;
	if (host->hole_count == HOLES_MAX) {
		host->holes_unlisted++;
		return;
	}
	host->holes[host->hole_count++] = (struct hole){.first = host->expected,
		.last = head->number - 1,
		.before_ns = host->expected_ns,
		.after_ns = head->sent_ns};
}

static void take(const uint8_t *datagram, size_t length, uint64_t now)
{
	struct host *host;
	struct live *live;
	struct head head;

	if (length < sizeof(head)) {
		self.foreign++;
		return;
	}
	memcpy(&head, datagram, sizeof(head));
	if (head.token == self.token && head.number == TRAILER)
		return;
	if (head.token != self.token || head.destination != self.self || head.source >= HOSTS_MAX ||
		!self.hosts[head.source].there || head.number >= NUMBERS_MAX) {
		self.foreign++;
		return;
	}
	if (length != self.size ||
		memcmp(datagram + sizeof(head), self.output[0] + sizeof(head), length - sizeof(head)) != 0) {
		self.damaged++;
		return;
	}
	host = &self.hosts[head.source];
	live = &self.live[head.source];
	if (host->seen[head.number / 8] & 1u << head.number % 8) {
		live->duplicates++;
		return;
	}
	host->seen[head.number / 8] |= (uint8_t)(1u << head.number % 8);
	if (head.number >= host->expected) {
		note_hole(host, &head);
		host->expected = head.number + 1;
		host->expected_ns = head.sent_ns;
	} else {
		host->late++;
	}
	live->received++;
	live->sent_ns = head.sent_ns;
	live->arrived_ns = now;
}

static void note_overflow(struct msghdr *message)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control))
		if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL)
			memcpy(&self.overflow, CMSG_DATA(control), sizeof(self.overflow));
}

static void receive(void)
{
	_Alignas(struct cmsghdr) char controls[BURST][CMSG_SPACE(sizeof(uint32_t))];
	struct mmsghdr messages[BURST] = {0};
	struct iovec vectors[BURST];
	uint64_t now;
	int got;

	for (unsigned int i = 0; i < BURST; i++) {
		vectors[i] = (struct iovec){.iov_base = self.input[i], .iov_len = sizeof(self.input[i])};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
			.msg_iovlen = 1,
			.msg_control = controls[i],
			.msg_controllen = sizeof(controls[i])};
	}
	got = recvmmsg(self.socket, messages, BURST, MSG_DONTWAIT, NULL);
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		fail("recvmmsg");
	now = now_ns();
	for (int i = 0; i < got; i++) {
		note_overflow(&messages[i].msg_hdr);
		take(self.input[i], messages[i].msg_len, now);
	}
}

/* --- the report --- */

static uint64_t count_missing(const struct host *host, uint64_t first, uint64_t last)
{
	uint64_t missing = 0;

	for (uint64_t number = first; number <= last; number++)
		missing += !(host->seen[number / 8] & 1u << number % 8);
	return missing;
}

static void report_host(unsigned int number)
{
	const struct host *host = &self.hosts[number];
	const struct live *live = &self.live[number];
	const char *separator = "";

	(void)printf("\"%u\": {\"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"duplicates\": %" PRIu64
		     ", \"late\": %" PRIu64 ", \"expected\": %" PRIu64 ", \"holes_unlisted\": %zu, \"holes\": [",
		number, live->sent, live->received, live->duplicates, host->late, host->expected, host->holes_unlisted);
	for (size_t i = 0; i < host->hole_count; i++) {
		const struct hole *hole = &host->holes[i];
		uint64_t missing = count_missing(host, hole->first, hole->last);

		if (missing == 0)
			continue;
		(void)printf("%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", separator,
			hole->first, hole->last, missing, hole->before_ns, hole->after_ns);
		separator = ", ";
	}
	(void)printf("]}");
}

static void report(void)
{
	const char *separator = "";

	(void)printf("{\"self\": %u, \"overflow\": %" PRIu32 ", \"foreign\": %" PRIu64 ", \"damaged\": %" PRIu64
		     ", \"refused\": %" PRIu64 ", \"hosts\": {",
		self.self, self.overflow, self.foreign, self.damaged, self.refused);
	for (unsigned int number = 0; number < HOSTS_MAX; number++) {
		if (!self.hosts[number].there)
			continue;
		(void)printf("%s", separator);
		report_host(number);
		separator = ", ";
	}
	(void)printf("}}\n");
}

/* --- start --- */

static void start(void)
{
	const long period_ns = SECOND_NS / (long)self.rate;
	const long tick_ns = period_ns < TICK_NS ? TICK_NS : period_ns > TICK_NS_MAX ? TICK_NS_MAX : period_ns;
	struct itimerspec tick = {.it_interval.tv_nsec = tick_ns, .it_value.tv_nsec = tick_ns};
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = self.listen};
	int on = 1, buffer = RECEIVE_BUFFER, file;
	sigset_t signals;

	for (unsigned int number = 0; number < HOSTS_MAX; number++) {
		struct host *host = &self.hosts[number];

		if (!host->there)
			continue;
		host->seen = mmap(NULL, NUMBERS_MAX / 8, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		host->holes = calloc(HOLES_MAX, sizeof(*host->holes));
		if (host->seen == MAP_FAILED || !host->holes)
			fail("memory");
	}
	self.socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (self.socket < 0 || setsockopt(self.socket, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) < 0 ||
		setsockopt(self.socket, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0 ||
		bind(self.socket, (struct sockaddr *)&local, sizeof(local)) < 0)
		fail("socket");
	for (unsigned int i = 0; i < BURST; i++)
		fill(self.output[i], self.size);
	/* The head overwrites the beginning; where the pattern starts after it does not matter. */
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGUSR1);
	(void)sigaddset(&signals, SIGUSR2);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	self.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	self.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (self.signals < 0 || self.timer < 0 || timerfd_settime(self.timer, 0, &tick, NULL) < 0)
		fail("timer");
	file = open(self.live_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, sizeof(struct live) * HOSTS_MAX) < 0)
		fail(self.live_path);
	self.live = mmap(NULL, sizeof(struct live) * HOSTS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (self.live == MAP_FAILED)
		fail(self.live_path);
}

static void run(void)
{
	struct pollfd polled[] = {{.fd = self.socket, .events = POLLIN}, {.fd = self.timer, .events = POLLIN},
		{.fd = self.signals, .events = POLLIN}};
	struct signalfd_siginfo signal;

	for (;;) {
		if (poll(polled, 3, -1) < 0 && errno != EINTR)
			fail("poll");
		if (polled[0].revents)
			receive();
		if (polled[1].revents)
			send_due();
		if (!polled[2].revents || read(self.signals, &signal, sizeof(signal)) != sizeof(signal))
			continue;
		if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT)
			return;
		self.sending = signal.ssi_signo == SIGUSR2;
		self.trailers = self.sending ? 0 : TRAILERS;
		if (self.sending)
			self.start_ns = now_ns();
	}
}

static const struct argp_option options[] = {
	{"self", 's', "N", 0, "Number of this host", 0},
	{"listen", 'l', "ADDRESS", 0, "Address of this host", 0},
	{"to", 't', "N=ADDRESS", 0, "Another host; may be repeated", 0},
	{"rate", 'r', "N", 0, "Datagrams a second to each of them", 0},
	{"size", 'b', "BYTES", 0, "Of a datagram", 0},
	{"token", 'k', "HEX", 0, "What the hosts of this tenant and run know each other by, 16 digits", 0},
	{"pattern", 'p', "HEX", 0, "What datagrams are filled with, 32 digits", 0},
	{"live", 'f', "FILE", 0, "Where the counters can be watched", 0},
	{0},
};

static unsigned int number_of(const char *text, unsigned int low, unsigned int high, struct argp_state *state)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || value < low || value > high)
		argp_error(state, "\"%s\" is no number from %u to %u", text, low, high);
	return (unsigned int)value;
}

static void add_host(char *text, struct argp_state *state)
{
	char *equals = strchr(text, '=');
	struct host *host;

	if (!equals)
		argp_error(state, "\"%s\" is not N=ADDRESS", text);
	*equals = '\0';
	host = &self.hosts[number_of(text, 0, HOSTS_MAX - 1, state)];
	host->there = true;
	host->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT)};
	if (inet_pton(AF_INET, equals + 1, &host->address.sin_addr) != 1)
		argp_error(state, "\"%s\" is no IPv4 address", equals + 1);
}

static void read_pattern(const char *text, struct argp_state *state)
{
	for (size_t i = 0; i < sizeof(self.pattern); i++)
		if (strlen(text) != 2 * sizeof(self.pattern) || sscanf(text + 2 * i, "%2hhx", &self.pattern[i]) != 1)
			argp_error(state, "the pattern has 32 hex digits");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	switch (key) {
	case 's':
		self.self = number_of(text, 0, HOSTS_MAX - 1, state);
		break;
	case 'l':
		if (inet_pton(AF_INET, text, &self.listen) != 1)
			argp_error(state, "\"%s\" is no IPv4 address", text);
		break;
	case 't':
		add_host(text, state);
		break;
	case 'r':
		self.rate = number_of(text, 1, 100000, state);
		break;
	case 'b':
		self.size = number_of(text, sizeof(struct head) + sizeof(self.pattern), SIZE_MAX_BYTES, state);
		break;
	case 'k':
		self.token = strtoull(text, NULL, 16);
		break;
	case 'p':
		read_pattern(text, state);
		break;
	case 'f':
		self.live_path = text;
		break;
	case ARGP_KEY_END:
		if (!self.listen.s_addr || !self.rate || !self.size || !self.token || !self.live_path)
			argp_error(state, "--listen, --rate, --size, --token and --live are needed");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char *argv[])
{
	static const struct argp argp = {
		.options = options, .parser = parse, .doc = "Numbered datagrams between hosts."};

	(void)argp_parse(&argp, argc, argv, 0, NULL, NULL);
	start();
	run();
	receive();
	report();
	return 0;
}
