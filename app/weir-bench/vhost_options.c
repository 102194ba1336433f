/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "test_frame.h"
#include "vhost_options.h"
#include "weir_error.h"

/* The simple mix that testers have agreed upon, without the wire's check sequence. */
#define IMIX "60*7,566*4,1514"

void
vhost_options_help(FILE *out)
{
	fprintf(out,
		"\nThe guest side of a vhost-user back-end, by virtio-user ports, all on one "
		"lcore.\n\n"
		"  --port KEYS        a virtio-user port: path=SOCKET[,server=1][,packed_vq=1]\n"
		"                     [,mrg_rxbuf=0][,in_order=1][,vectorized=1][,queues=N]\n"
		"                     [,queue_size=N]; once a port, or --vdev for EAL instead\n"
		"  --light KEYS       ports of our own, hundreds if need be, split rings only:\n"
		"                     path=SOCKET[,guests=N][,first=N][,queue_size=N]; %%u in the\n"
		"                     path is a guest's number, from first= (0)\n"
		"  --path PATH        sink: nothing comes back; reflect: every port gets its own\n"
		"                     frames back (default); one-way: from port 0 to 1, 2 to 3;\n"
		"                     both: and back\n"
		"  --measure WHAT     rate (default), round-trip, or sweep: the highest rate with\n"
		"                     no more loss than --loss, as in RFC 2544\n"
		"  --txpkts LENS      bytes of a frame, 60 to %d: 64 (default), 64*7,570*4,1518\n"
		"                     in turn, or imix (" IMIX ")\n"
		"  --flows N          of each port, by address and UDP port (default 1)\n"
		"  --busy N           only the first N ports send (default 0: all)\n"
		"  --burst N          frames a call of the driver (default 32)\n"
		"  --window N         frames on their way at most; 0: as many as the rings take\n"
		"                     (default; of round trips 1)\n"
		"  --rate N           frames a second, 10e6 as well (default: as it goes)\n"
		"  --seconds S        (default 2; of a sweep, each trial)\n"
		"  --stats-period S   show the rates in between\n"
		"  --check N          compare one of N frames whole, the marks of all; 0: marks\n"
		"                     only (default 64)\n"
		"  --loss P           sweep: percent that may be lost (default 0)\n"
		"  --resolution P     sweep: percent of the highest rate (default 1)\n"
		"  --count N          round trips (default 1000)\n"
		"  --gap-us N         round trips: bursts of --window frames, this long after\n"
		"                     the last one is back; the first frame counts by itself\n"
		"  --histogram        of round trips\n"
		"  -i                 start, stop, show stats, set WORD VALUE, quit; wants a\n"
		"                     second lcore\n",
		TEST_FRAME_MAX);
}

int
vhost_options_lens(struct vhost_options *options, const char *text)
{
	const char *at = strcmp(text, "imix") == 0 ? IMIX : text;
	unsigned int n = 0, times;
	uint16_t lens[VHOST_LENS_MAX], len_max = 0;
	char *end;

	for (;; at = end + 1) {
		unsigned long len = strtoul(at, &end, 10);

		times = 1;
		if (end != at && *end == '*') {
			at = end + 1;
			times = strtoul(at, &end, 10);
		}
		if (end == at || len < TEST_FRAME_MIN || len > TEST_FRAME_MAX || times == 0 ||
		    times > VHOST_LENS_MAX - n || (*end != ',' && *end != '\0'))
			return weir_error(EINVAL,
					  "--txpkts %s: imix, or lengths from %d to %d, each with "
					  "*TIMES if need be, are needed, at most %d in all",
					  text, TEST_FRAME_MIN, TEST_FRAME_MAX, VHOST_LENS_MAX);
		while (times-- > 0)
			lens[n++] = len;
		len_max = RTE_MAX(len_max, len);
		if (*end == '\0')
			break;
	}
	memcpy(options->lens, lens, n * sizeof(*lens));
	options->n_lens = n;
	options->len_max = len_max;
	options->lens_text = text;
	return 0;
}

static int
number(const char *name, const char *text, double min, double max, double *value)
{
	char *end;

	*value = strtod(text, &end);
	if (end == text || *end != '\0' || !(*value >= min && *value <= max))
		return weir_error(EINVAL, "--%s %s: a number from %g to %g is needed", name, text,
				  min, max);
	return 0;
}

static int
choice(const char *name, const char *text, const char *const *choices)
{
	char all[80] = "";
	int i;

	for (i = 0; choices[i] != NULL; i++) {
		if (strcmp(text, choices[i]) == 0)
			return i;
		strcat(strcat(all, i > 0 ? ", " : ""), choices[i]);
	}
	return weir_error(EINVAL, "--%s %s: one of %s is needed", name, text, all);
}

static int
port_add(struct vhost_options *options, const char *keys)
{
	if (strstr(keys, "path=") == NULL)
		return weir_error(EINVAL, "--port %s: path=SOCKET is needed", keys);
	if (options->n_ports == VHOST_PORTS_MAX)
		return weir_error(E2BIG, "--port %s: at most %d ports: more processes have more",
				  keys, VHOST_PORTS_MAX);
	options->ports[options->n_ports++] = keys;
	return 0;
}

static int
option_take(struct vhost_options *options, const char *name, const char *text)
{
	static const char *const paths[] = {"sink", "reflect", "one-way", "both", NULL};
	static const char *const measures[] = {"rate", "round-trip", "sweep", NULL};
	double n;
	int rc;

	if (strcmp(name, "port") == 0)
		return port_add(options, text);
	if (strcmp(name, "light") == 0) {
		options->light = text;
		return 0;
	}
	if (strcmp(name, "txpkts") == 0)
		return vhost_options_lens(options, text);
	if (strcmp(name, "path") == 0 || strcmp(name, "measure") == 0) {
		rc = choice(name, text, *name == 'p' ? paths : measures);
		if (rc >= 0 && *name == 'p')
			options->path = rc;
		else if (rc >= 0)
			options->measure = rc;
		return RTE_MIN(rc, 0);
	}
#define NUMBER(word, min, max, member, scale)                                                      \
	do {                                                                                       \
		if (strcmp(name, word) == 0) {                                                     \
			rc = number(name, text, min, max, &n);                                     \
			if (rc == 0)                                                               \
				options->member = n * (scale);                                     \
			return rc;                                                                 \
		}                                                                                  \
	} while (0)
	NUMBER("flows", 1, VHOST_FLOWS_MAX, n_flows, 1);
	NUMBER("busy", 0, VHOST_GUESTS_MAX, n_busy, 1);
	NUMBER("burst", 1, VHOST_BURST_MAX, burst, 1);
	NUMBER("window", 0, VHOST_WINDOW_MAX, window, 1);
	NUMBER("rate", 1, 1e9, rate, 1);
	NUMBER("seconds", 0.01, 86400, seconds, 1);
	NUMBER("stats-period", 0.1, 3600, stats_period, 1);
	NUMBER("check", 0, 1e9, check_every, 1);
	NUMBER("loss", 0, 100, loss, 0.01);
	NUMBER("resolution", 0.01, 50, resolution, 0.01);
	NUMBER("count", 1, 1e9, count, 1);
	NUMBER("gap-us", 0, 1e7, gap_us, 1);
#undef NUMBER
	return weir_error(EINVAL, "--%s: not known: see weir-bench vhost --help", name);
}

int
vhost_options_parse(int argc, char **argv, struct vhost_options *options)
{
	static const struct option longs[] = {
		{"port", required_argument, NULL, 0},
		{"light", required_argument, NULL, 0},
		{"path", required_argument, NULL, 0},
		{"measure", required_argument, NULL, 0},
		{"txpkts", required_argument, NULL, 0},
		{"flows", required_argument, NULL, 0},
		{"busy", required_argument, NULL, 0},
		{"burst", required_argument, NULL, 0},
		{"window", required_argument, NULL, 0},
		{"rate", required_argument, NULL, 0},
		{"seconds", required_argument, NULL, 0},
		{"stats-period", required_argument, NULL, 0},
		{"check", required_argument, NULL, 0},
		{"loss", required_argument, NULL, 0},
		{"resolution", required_argument, NULL, 0},
		{"count", required_argument, NULL, 0},
		{"gap-us", required_argument, NULL, 0},
		{"histogram", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option, index, rc = 0;

	*options = (struct vhost_options){
		.path = PATH_REFLECT,
		.n_flows = 1,
		.burst = 32,
		.window = UINT32_MAX,
		.seconds = 2,
		.check_every = 64,
		.resolution = 0.01,
		.count = 1000,
	};
	vhost_options_lens(options, "64");
	optind = 0; /* glibc: from the start, with the order these words ask for */
	while (rc == 0 && (option = getopt_long(argc, argv, "i", longs, &index)) != -1) {
		if (option == 0)
			rc = option_take(options, longs[index].name, optarg);
		else if (option == 'h')
			options->histogram = true;
		else if (option == 'i')
			options->interactive = true;
		else
			rc = weir_error(EINVAL, "see weir-bench vhost --help");
	}
	if (rc == 0 && optind < argc)
		rc = weir_error(EINVAL,
				"'%s': a word that was not expected: see weir-bench vhost "
				"--help",
				argv[optind]);
	if (options->window == UINT32_MAX)
		options->window = options->measure == MEASURE_ROUND_TRIP ? 1 : 0;
	if (rc == 0 && options->measure == MEASURE_ROUND_TRIP &&
	    (options->window == 0 || options->path == PATH_SINK))
		rc = weir_error(EINVAL, "--measure round-trip: frames that come back, and a "
					"--window of 1 or more are needed");
	return rc;
}
