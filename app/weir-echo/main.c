/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-echo: a network stack at the far end of an endpoint of type frames, the model
 * for whoever brings one. It answers in place, gives back what it does not answer,
 * and sleeps when the guest is silent. Each queue pair has a thread of its own, which
 * shares nothing with the others.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "answer.h"
#include "weir_error.h"
#include "weir_frame_host.h"

#define BURST 32
#define UDP_PORT 7
#define PAIRS_MAX 16 /* of an endpoint, and of a guest */

static const char *const kinds[ANSWER_KINDS] = {
	[ANSWER_NONE] = "not answered", [ANSWER_ARP] = "arp",	  [ANSWER_NEIGHBOUR] = "neighbour",
	[ANSWER_PING] = "ping",		[ANSWER_PING6] = "ping6", [ANSWER_UDP] = "udp",
	[ANSWER_UDP6] = "udp6",
};

/** A queue pair, of the thread that serves it. */
struct echo_pair {
	struct weir_frame_host *host;
	const struct answer_self *self;
	pthread_t thread;
	uint64_t n[ANSWER_KINDS];
	int rc; /* that it ended with */
};

struct echo {
	const char *endpoint;
	struct answer_self self;
};

static struct echo_pair pairs[PAIRS_MAX];
static unsigned int n_pairs;
static volatile sig_atomic_t ends;

/** Ends the waits there are, or the next: the signal may come just before one. */
static void
on_signal(int signo)
{
	unsigned int i;

	ends = 1;
	for (i = 0; i < n_pairs; i++)
		weir_frame_host_relay(pairs[i].host);
}

static const char usage[] =
	"Usage: weir-echo --proc-type=secondary [EAL options] -- --endpoint NAME [OPTIONS]\n\n"
	"The far end of weir's endpoint NAME of type frames: answers ARP and neighbour\n"
	"discovery, IPv4 and IPv6 ping, and UDP echo; a thread for each queue pair.\n\n"
	"  --ip ADDR        its IPv4 address\n"
	"  --ip6 ADDR       its IPv6 address\n"
	"  --mac ADDR       its Ethernet address (02:00:00:00:00:07)\n"
	"  --udp-port N     the port that echoes (7)\n"
	"  --help, --version\n\n"
	"Example: weir-echo --proc-type=secondary --no-pci -- --endpoint stack --ip 10.0.0.1\n";

static int
option_port(const char *text, rte_be16_t *port)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n == 0 || n > UINT16_MAX)
		return weir_error(EINVAL, "--udp-port %s: a port from 1 to 65535 is needed", text);
	*port = rte_cpu_to_be_16(n);
	return 0;
}

static int
option_set(struct echo *echo, int option, const char *text)
{
	switch (option) {
	case 'e':
		echo->endpoint = text;
		return 0;
	case '4':
		if (inet_pton(AF_INET, text, &echo->self.ip) == 1)
			return 0;
		return weir_error(EINVAL, "--ip %s: an address such as 10.0.0.1 is needed", text);
	case '6':
		echo->self.has_ip6 = true;
		if (inet_pton(AF_INET6, text, echo->self.ip6) == 1)
			return 0;
		return weir_error(EINVAL, "--ip6 %s: an address such as fd00::1 is needed", text);
	case 'm':
		if (rte_ether_unformat_addr(text, &echo->self.mac) == 0 &&
		    rte_is_valid_assigned_ether_addr(&echo->self.mac))
			return 0;
		return weir_error(EINVAL,
				  "--mac %s: the address of one station is needed, such as "
				  "02:00:00:00:00:07",
				  text);
	case 'p':
		return option_port(text, &echo->self.udp_port);
	default:
		return weir_error(EINVAL, "see weir-echo --help");
	}
}

static int
options_parse(int argc, char **argv, struct echo *echo)
{
	static const struct option longs[] = {
		{"endpoint", required_argument, NULL, 'e'}, {"ip", required_argument, NULL, '4'},
		{"ip6", required_argument, NULL, '6'},	    {"mac", required_argument, NULL, 'm'},
		{"udp-port", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0},
	};
	int option, rc = 0;

	echo->self.mac = (struct rte_ether_addr){{0x02, 0, 0, 0, 0, 0x07}};
	echo->self.udp_port = RTE_BE16(UDP_PORT);
	optind = 1;
	while (rc == 0 && (option = getopt_long(argc, argv, "", longs, NULL)) != -1)
		rc = option_set(echo, option, optarg);
	if (rc == 0 && optind < argc)
		rc = weir_error(EINVAL, "'%s': no such word: see weir-echo --help", argv[optind]);
	if (rc == 0 && echo->endpoint == NULL)
		rc = weir_error(EINVAL, "--endpoint NAME is needed: see weir-echo --help");
	return rc;
}

/** Send all, however slow the guest is. @return As weir_frame_host_wait(). */
static int
answers_send(struct weir_frame_host *host, struct rte_mbuf **frames, uint16_t n)
{
	uint16_t sent = 0;
	int rc = 0;

	while (sent < n && !ends && rc != -ESHUTDOWN) {
		sent += weir_frame_host_send(host, frames + sent, n - sent);
		if (sent < n)
			rc = weir_frame_host_wait(host, WEIR_FRAME_HOST_ROOM, -1);
	}
	weir_frame_host_put(host, frames + sent, n - sent);
	return rc;
}

/** Until a signal ends it, or weir does. */
static void *
pair_serve(void *arg)
{
	struct echo_pair *pair = arg;
	struct rte_mbuf *frames[BURST], *answers[BURST], *others[BURST];
	uint16_t n, i, n_answers, n_others;

	while (!ends && pair->rc != -ESHUTDOWN) {
		n = weir_frame_host_receive(pair->host, frames, BURST);
		n_answers = n_others = 0;
		for (i = 0; i < n; i++) {
			enum answer_kind kind = answer_make(pair->self, frames[i]);

			pair->n[kind]++;
			if (kind == ANSWER_NONE)
				others[n_others++] = frames[i];
			else
				answers[n_answers++] = frames[i];
		}
		weir_frame_host_put(pair->host, others, n_others);
		pair->rc = answers_send(pair->host, answers, n_answers);
		if (n == 0)
			pair->rc = weir_frame_host_wait(pair->host, WEIR_FRAME_HOST_FRAMES, -1);
	}
	return NULL;
}

static void
pairs_detach(void)
{
	while (n_pairs > 0)
		weir_frame_host_detach(pairs[--n_pairs].host);
}

/** All that the endpoint has: its link is up then. */
static int
pairs_attach(const struct echo *echo)
{
	unsigned int n_all = 1;

	do {
		struct echo_pair *pair = &pairs[n_pairs];

		pair->self = &echo->self;
		pair->host = weir_frame_host_attach(echo->endpoint, n_pairs);
		if (pair->host == NULL) {
			int rc = -rte_errno;

			pairs_detach();
			return rc;
		}
		n_all = RTE_MIN(weir_frame_host_n_pairs(pair->host), PAIRS_MAX);
	} while (++n_pairs < n_all);
	return 0;
}

/** The first pair is this thread's. */
static int
pairs_serve(void)
{
	unsigned int i, n_started;
	int rc = 0;

	for (n_started = 1; n_started < n_pairs && rc == 0; n_started += rc == 0)
		rc = pthread_create(&pairs[n_started].thread, NULL, pair_serve, &pairs[n_started]);
	if (rc == 0)
		pair_serve(&pairs[0]);
	else
		weir_error(rc, "no thread for a queue pair: %s", strerror(rc));
	on_signal(0); /* to the others, for whatever reason this one has ended */
	for (i = 1; i < n_started; i++)
		pthread_join(pairs[i].thread, NULL);
	return -rc;
}

static void
pairs_print(void)
{
	unsigned int kind, i;

	for (kind = 0; kind < ANSWER_KINDS; kind++) {
		uint64_t n = 0;

		for (i = 0; i < n_pairs; i++)
			n += pairs[i].n[kind];
		printf("weir-echo: %s: %lu\n", kinds[kind], n);
	}
	for (i = 0; n_pairs > 1 && i < n_pairs; i++) {
		uint64_t n = 0;

		for (kind = 0; kind < ANSWER_KINDS; kind++)
			n += pairs[i].n[kind];
		printf("weir-echo: pair %u: %lu frames\n", i, n);
	}
	if (pairs[0].rc == -ESHUTDOWN)
		printf("weir-echo: weir has closed the endpoint\n");
}

static int
echo_run(struct echo *echo)
{
	const struct sigaction action = {.sa_handler = on_signal};
	int rc;

	rc = pairs_attach(echo);
	if (rc != 0)
		return rc;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	printf("weir-echo: ready\n");
	fflush(stdout);
	rc = pairs_serve();
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (rc == 0)
		pairs_print();
	pairs_detach();
	return rc;
}

int
main(int argc, char **argv)
{
	struct echo echo = {0};
	int i, used, rc;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			return 0;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("weir-echo %s\n", WEIR_VERSION);
			return 0;
		}
	}
	used = rte_eal_init(argc, argv);
	if (used < 0) {
		fprintf(stderr, "weir-echo: EAL does not start: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	rc = options_parse(argc - used, argv + used, &echo);
	if (rc == 0)
		rc = echo_run(&echo);
	if (rc != 0)
		fprintf(stderr, "weir-echo: %s\n", weir_error_text());
	rte_eal_cleanup();
	return rc == 0 ? 0 : 1;
}
