/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VHOST_OPTIONS_H
#define VHOST_OPTIONS_H

/* The words of mode vhost. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define VHOST_PORTS_MAX 32    /* ethdevs */
#define VHOST_GUESTS_MAX 1024 /* and light ones */
#define VHOST_LENS_MAX 64
#define VHOST_FLOWS_MAX 4096
#define VHOST_BURST_MAX 512
#define VHOST_WINDOW_MAX 4096 /* no more than a checker remembers */

enum vhost_path {
	PATH_SINK,    /* nothing comes back */
	PATH_REFLECT, /* each port gets its own frames back */
	PATH_ONE_WAY, /* from every even port to the odd one after it */
	PATH_BOTH,    /* and the other way too */
};

enum vhost_measure {
	MEASURE_RATE,
	MEASURE_ROUND_TRIP,
	MEASURE_SWEEP,
};

struct vhost_options {
	enum vhost_path path;
	enum vhost_measure measure;
	const char *ports[VHOST_PORTS_MAX]; /* keys of virtio-user */
	unsigned int n_ports;
	const char *light; /* keys of light ports; neither: the ports that EAL has already */
	uint16_t lens[VHOST_LENS_MAX]; /* frame after frame, in turn */
	unsigned int n_lens;
	const char *lens_text;
	unsigned int n_busy; /* ports that send, the first ones; 0: all */
	uint16_t len_max;
	unsigned int n_flows; /* of each port */
	uint32_t burst;
	uint32_t window; /* frames on their way at most; 0: as many as the rings take */
	double rate;	 /* frames a second of all ports; 0: as fast as it goes */
	double seconds;
	double stats_period;  /* seconds; 0: never */
	uint32_t check_every; /* of so many frames one is compared whole; 0: none */
	double loss;	      /* sweep: the part that may be lost */
	double resolution;    /* sweep: the part of the highest rate to find it within */
	uint64_t count;	      /* round trips: how many */
	uint64_t gap_us;      /* round trips: nothing for so long between two bursts */
	bool histogram;
	bool interactive;
};

/** 0, or a negative errno with its sentence in weir_error_text(). */
int vhost_options_parse(int argc, char **argv, struct vhost_options *options);
/** `64` or `64*7,570*4,1518`, or imix: 0, or -EINVAL with its sentence. */
int vhost_options_lens(struct vhost_options *options, const char *text);
void vhost_options_help(FILE *out);

#endif
