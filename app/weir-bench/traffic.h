/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRAFFIC_H
#define TRAFFIC_H

/*
 * Sends and checks frames of many streams, on one lcore, through the ports of guests.h:
 * arrivals.c sees what comes, traffic.c when to send.
 */

#include "stream.h"

struct traffic {
	const struct vhost_options *options;
	struct guests *guests;
	struct stream *streams;
	unsigned int n_streams;
	unsigned int turn; /* the stream that is next: a slow rate is of all of them */
	struct flow *flows;
	unsigned int n_flows;
	bool comes_back;
	uint32_t n_resets;
	uint64_t n_sent;     /* what the drivers took */
	uint64_t n_given_up; /* on their way for too long to keep the window closed */
	struct checker_stats stats;
	uint64_t last_received; /* time stamp */
	struct stash stash;
	volatile bool *stop; /* ends a run early, or NULL */
};

/** The tag of a flow's frames grows by so much with every measurement. */
#define TRAFFIC_TAG_STEP 2

/** @return 0, or -ENOMEM or -EINVAL with its sentence in weir_error_text(). */
int traffic_init(struct traffic *traffic, const struct vhost_options *options,
		 struct guests *guests);
void traffic_fini(struct traffic *traffic);

/**
 * Send a little until something arrives: rings are set up, switches learn addresses,
 * sleepers wake. Then nothing is on its way, and all is forgotten.
 *
 * @return
 *   0, or -ETIMEDOUT with its sentence when nothing arrives for 10 s.
 */
int traffic_begin(struct traffic *traffic);

/** Forget what was sent and what came: a new measurement, with nothing on its way. */
void traffic_reset(struct traffic *traffic);

/**
 * Send for so long, and receive.
 *
 * @param rate
 *   Frames a second, or 0 for what the drivers take.
 * @return
 *   Seconds that it took: fewer when it was stopped.
 */
double traffic_run(struct traffic *traffic, double seconds, double rate);

/** Receive until nothing has come for a while; what is missing then is lost. */
void traffic_drain(struct traffic *traffic);

/** What came, of which a rate is made: where nothing comes back, what was taken. */
uint64_t traffic_arrived(const struct traffic *traffic);

/** Frames of the stream that sent fewest, to those of the one that sent most. */
double traffic_fairness(const struct traffic *traffic);

/** Send up to @p n frames of a stream: how many the driver took. */
static inline uint32_t
traffic_send(struct traffic *traffic, struct stream *stream, uint32_t n)
{
	uint32_t sent = stream_send(stream, traffic->options, &traffic->stash, n);

	traffic->n_sent += sent;
	return sent;
}

/** What a port's queue has; @p numbers, if not NULL, gets each frame's, or UINT64_MAX. */
uint32_t traffic_receive(struct traffic *traffic, uint16_t port, uint16_t queue, uint64_t *numbers);

#endif
