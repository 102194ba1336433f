/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "options.h"
#include "weir_capture.h"
#include "weir_endpoint.h"
#include "weir_error.h"
#include "weir_guest.h"
#include "weir_keys.h"
#include "weir_poller.h"

#define IDLE_US_MAX 1000000

enum {
	OPTION_ENDPOINT = 256,
	OPTION_GUEST,
	OPTION_CAPTURE,
	OPTION_BUDGET,
	OPTION_IDLE_US,
	OPTION_SPREAD,
	OPTION_CMDLINE_FILE,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{"endpoint", required_argument, NULL, OPTION_ENDPOINT},
	{"guest", required_argument, NULL, OPTION_GUEST},
	{"capture", required_argument, NULL, OPTION_CAPTURE},
	{"budget", required_argument, NULL, OPTION_BUDGET},
	{"idle-us", required_argument, NULL, OPTION_IDLE_US},
	{"spread", required_argument, NULL, OPTION_SPREAD},
	{"interactive", no_argument, NULL, 'i'},
	{"cmdline-file", required_argument, NULL, OPTION_CMDLINE_FILE},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

/** Lines of a usage text, indented under their option. */
static void
print_keys(const char *usage, const char *indent)
{
	while (*usage != '\0') {
		int len = (int)strcspn(usage, "\n");

		printf("%s%.*s\n", indent, len, usage);
		usage += len + (usage[len] == '\n');
	}
}

/** The manual is made of this: see man/manpage.py for how it is read. */
static void
print_help(void)
{
	const struct weir_endpoint_ops *ops;
	unsigned int i;

	printf("weir %s, a vhost-user-net back-end on DPDK\n\n"
	       "usage: weir [EAL options] -- --endpoint KEYS ... --guest KEYS ...\n\n"
	       "Options:\n"
	       "  --endpoint name=NAME,type=TYPE,...\n"
	       "      a place on the host side; the types and their keys:\n",
	       WEIR_VERSION);
	for (i = 0; (ops = weir_endpoint_driver(i)) != NULL; i++) {
		printf("      type=%s\n", ops->type);
		print_keys(ops->usage, "          ");
	}
	printf("      two guests on one type=patch are connected to each other\n\n"
	       "  --guest KEYS\n"
	       "      a virtual machine or container that connects by vhost-user:\n");
	print_keys(weir_guest_usage(), "          ");
	printf("\n"
	       "  --capture KEYS\n"
	       "      frames to a file, until weir ends or the capture is stopped:\n");
	print_keys(weir_capture_usage(), "          ");
	printf("\n"
	       "  --budget BYTES\n"
	       "      most that the frames of all guests may take, K, M or G allowed (no limit)\n\n"
	       "  --idle-us MICROSECONDS\n"
	       "      an lcore without a frame for so long sleeps; 0: never (%d)\n\n"
	       "  --spread off|load\n"
	       "      move queue pairs between lcores as they are busy (off)\n\n"
	       "  -i, --interactive\n"
	       "      take commands from standard input; its end ends weir\n\n"
	       "  --cmdline-file PATH\n"
	       "      first run the commands in this file, one a line; an error ends weir\n\n"
	       "  --help, --version\n\n"
	       "Commands, by console or file; by telemetry they are /weir/add/guest,KEYS:\n",
	       WEIR_POLLER_IDLE_US_DEFAULT);
	control_help(stdout);
	printf("\n"
	       "The main lcore controls, every other lcore polls. Without huge pages, give EAL\n"
	       "--no-huge -m MEGABYTES. For instance:\n\n"
	       "  weir -l 0-1 --no-pci -- \\\n"
	       "    --endpoint name=up,type=tap,iface=weir0 \\\n"
	       "    --guest name=g0,socket=/run/weir/g0.sock,endpoint=up\n\n"
	       "What happens is shown by dpdk-telemetry.py: /weir/guest/list,\n"
	       "/weir/guest/info,NAME, /weir/guest/stats,NAME; likewise endpoint and poller.\n");
}

bool
options_answer(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help();
			return true;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("weir %s\n", WEIR_VERSION);
			return true;
		}
	}
	return false;
}

static int
append(const char *what, const char **list, unsigned int *n, unsigned int max)
{
	if (*n == max)
		return weir_error(EINVAL, "more than %u times %s", max, what);
	list[(*n)++] = optarg;
	return 0;
}

int
options_parse(int argc, char **argv, struct options *options)
{
	int option, rc = 0;

	memset(options, 0, sizeof(*options));
	options->budget_bytes = WEIR_BUDGET_UNLIMITED;
	options->idle_us = WEIR_POLLER_IDLE_US_DEFAULT;
	optind = 1;
	opterr = 0; /* the sentence is ours */
	while (rc == 0 && (option = getopt_long(argc, argv, ":i", long_options, NULL)) != -1) {
		switch (option) {
		case OPTION_ENDPOINT:
			rc = append("--endpoint", options->endpoints, &options->n_endpoints,
				    OPTIONS_ENDPOINTS_MAX);
			break;
		case OPTION_GUEST:
			rc = append("--guest", options->guests, &options->n_guests,
				    OPTIONS_GUESTS_MAX);
			break;
		case OPTION_CAPTURE:
			rc = append("--capture", options->captures, &options->n_captures,
				    OPTIONS_CAPTURES_MAX);
			break;
		case OPTION_BUDGET:
			if (weir_keys_parse_bytes(optarg, &options->budget_bytes) != 0 ||
			    options->budget_bytes == 0)
				rc = weir_error(EINVAL,
						"--budget %s: bytes are needed, with K, M or G if "
						"you like: --budget 512M",
						optarg);
			break;
		case OPTION_IDLE_US:
			if (weir_keys_parse_number(optarg, &options->idle_us) != 0 ||
			    options->idle_us > IDLE_US_MAX)
				rc = weir_error(
					EINVAL,
					"--idle-us %s: microseconds from 0 to %d are needed",
					optarg, IDLE_US_MAX);
			break;
		case 'i':
			options->interactive = true;
			break;
		case OPTION_CMDLINE_FILE:
			options->cmdline_file = optarg;
			break;
		case OPTION_SPREAD:
			options->spread = strcmp(optarg, "load") == 0;
			if (!options->spread && strcmp(optarg, "off") != 0)
				rc = weir_error(EINVAL, "--spread %s: one of off, load is needed",
						optarg);
			break;
		case ':':
			rc = weir_error(EINVAL, "%s needs a value: see weir --help",
					argv[optind - 1]);
			break;
		default:
			rc = weir_error(
				EINVAL,
				"unknown option '%s': --endpoint, --guest, --capture, --budget, "
				"--idle-us, --spread, --interactive, --cmdline-file, --help and "
				"--version are known (EAL's go before the --)",
				argv[optind - 1]);
		}
	}
	if (rc != 0)
		return rc;
	if (optind < argc)
		return weir_error(EINVAL,
				  "'%s' is not an option: write --endpoint KEYS or --guest KEYS",
				  argv[optind]);
	if (options->n_guests == 0 && !options->interactive && options->cmdline_file == NULL)
		return weir_error(EINVAL,
				  "no guest to serve: add --guest "
				  "name=NAME,socket=PATH,endpoint=NAME (see weir --help), or -i or "
				  "--cmdline-file to add some later");
	return 0;
}
