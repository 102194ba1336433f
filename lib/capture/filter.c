/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpcap compiles the text, DPDK's BPF library runs it, compiled once more for this
 * processor where it can. It reads a frame through an mbuf, so a frame is shown to it
 * as mbufs over its pieces.
 */
#include <errno.h>
#include <stdlib.h>

#include <pcap/pcap.h>
#include <rte_bpf.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "capture.h"
#include "weir_error.h"

/* Of a frame in more pieces the filter sees the first ones. */
#define FILTER_PIECES 40
#define VLAN_AT 12
#define VLAN_LEN 4

struct capture_filter {
	struct rte_bpf *bpf;
	struct rte_bpf_jit jit; /* its func is NULL where there is no compiler */
};

static int
filter_load(struct capture_filter *filter, const struct bpf_program *program, const char *text)
{
	struct rte_bpf_prm *prm = rte_bpf_convert(program);

	if (prm == NULL)
		return weir_error(rte_errno, "--capture: filter=%s: DPDK cannot take it over: %s",
				  text, rte_strerror(rte_errno));
	filter->bpf = rte_bpf_load(prm);
	rte_free(prm);
	if (filter->bpf == NULL)
		return weir_error(rte_errno, "--capture: filter=%s: DPDK refuses it: %s", text,
				  rte_strerror(rte_errno));
	rte_bpf_get_jit(filter->bpf, &filter->jit);
	return 0;
}

/** NULL with rte_errno and the reason. */
struct capture_filter *
capture_filter_create(const char *text)
{
	struct capture_filter *filter = calloc(1, sizeof(*filter));
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, CAPTURE_SNAPLEN_MAX);
	struct bpf_program program;
	int rc;

	if (filter == NULL || pcap == NULL) {
		rc = weir_error(ENOMEM, "--capture: no memory for its filter");
	} else if (pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0) {
		rc = weir_error(EINVAL, "--capture: filter=%s: %s (see pcap-filter(7))", text,
				pcap_geterr(pcap));
	} else {
		rc = filter_load(filter, &program, text);
		pcap_freecode(&program);
	}
	if (pcap != NULL)
		pcap_close(pcap);
	if (rc == 0)
		return filter;
	free(filter);
	rte_errno = -rc;
	return NULL;
}

void
capture_filter_free(struct capture_filter *filter)
{
	if (filter == NULL)
		return;
	rte_bpf_destroy(filter->bpf);
	free(filter);
}

static bool
filter_run(const struct capture_filter *filter, struct rte_mbuf *mbuf)
{
	if (likely(filter->jit.func != NULL))
		return filter->jit.func(mbuf) != 0;
	return rte_bpf_exec(filter->bpf, mbuf) != 0;
}

/* The mbufs over a frame, as they are added to. */
struct pieces {
	struct rte_mbuf mbufs[FILTER_PIECES];
	uint32_t n;
};

static void
pieces_add(struct pieces *pieces, const void *addr, uint32_t len)
{
	struct rte_mbuf *mbuf;
	uint32_t part;

	for (; len > 0 && pieces->n < FILTER_PIECES; len -= part) {
		part = RTE_MIN(len, (uint32_t)UINT16_MAX);
		mbuf = &pieces->mbufs[pieces->n];
		mbuf->buf_addr = (void *)(uintptr_t)addr;
		mbuf->data_off = 0;
		mbuf->data_len = part;
		mbuf->next = NULL;
		if (pieces->n > 0)
			mbuf[-1].next = mbuf;
		pieces->mbufs[0].pkt_len = (pieces->n > 0 ? pieces->mbufs[0].pkt_len : 0) + part;
		pieces->n++;
		addr = (const uint8_t *)addr + part;
	}
}

/** A frame in several pieces, or with a tag beside it. */
static bool
filter_match_pieces(const struct capture_filter *filter, const struct weir_tx_segment *segments)
{
	const uint16_t tci = segments->offload.vlan_tci;
	const uint8_t tag[VLAN_LEN] = {0x81, 0, tci >> 8, tci & 0xff};
	uint32_t front = segments->offload.flags & WEIR_OFFLOAD_VLAN ? VLAN_AT : 0, part, i;
	struct pieces pieces;

	pieces.n = 0;
	for (i = 0; i < segments->n_segments; i++) {
		part = RTE_MIN(front, segments[i].len);
		pieces_add(&pieces, segments[i].addr, part);
		if (front > 0 && part == front)
			pieces_add(&pieces, tag, sizeof(tag));
		front -= part;
		pieces_add(&pieces, (const uint8_t *)segments[i].addr + part,
			   segments[i].len - part);
	}
	pieces.mbufs[0].nb_segs = pieces.n;
	return filter_run(filter, pieces.mbufs);
}

bool
capture_filter_match(const struct capture_filter *filter, const struct weir_tx_segment *segments)
{
	struct rte_mbuf mbuf;

	if (unlikely(segments->n_segments != 1 || segments->len > UINT16_MAX ||
		     segments->offload.flags & WEIR_OFFLOAD_VLAN))
		return filter_match_pieces(filter, segments);
	mbuf.buf_addr = (void *)(uintptr_t)segments->addr;
	mbuf.data_off = 0;
	mbuf.data_len = segments->len;
	mbuf.pkt_len = segments->len;
	mbuf.next = NULL;
	mbuf.nb_segs = 1;
	return filter_run(filter, &mbuf);
}
