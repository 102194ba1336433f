/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "backend.h"
#include "weir_capture.h"
#include "weir_error.h"

/* Memory is asked for in pieces of this size, to see whether it is there. */
#define PROBE_BYTES (256 << 10)

/**
 * Whether EAL has, or can get, the memory that guests were promised. Their frames are
 * made on need, so that nothing else would tell before a guest is short of them.
 */
static int
check_memory(uint64_t promised)
{
	size_t n = promised / PROBE_BYTES + 1, had = 0;
	void **probes = calloc(n, sizeof(*probes));
	bool enough;

	if (probes == NULL)
		return weir_error(ENOMEM, "no memory");
	while (had < n && (probes[had] = rte_malloc(NULL, PROBE_BYTES, 0)) != NULL)
		had++;
	enough = had == n;
	while (had > 0)
		rte_free(probes[--had]);
	free(probes);
	if (enough)
		return 0;
	return weir_error(ENOMEM,
			  "too little memory: %.1f MB are promised for frames of guests, which EAL "
			  "cannot give: use -m MEGABYTES, or more huge pages",
			  promised / 1048576.0);
}

/* Endpoints. */

int
backend_find_endpoint(struct backend *backend, const char *name, struct weir_endpoint **endpoint)
{
	*endpoint = weir_endpoint_find(name);
	if (*endpoint == NULL)
		return weir_error(ENOENT, "there is no endpoint '%s': show endpoint lists them",
				  name);
	return 0;
}

int
backend_add_endpoint(struct backend *backend, const char *keys, struct weir_endpoint **added)
{
	if (backend->n_endpoints == OPTIONS_ENDPOINTS_MAX)
		return weir_error(ENOSPC, "there are %u endpoints already: remove one first",
				  OPTIONS_ENDPOINTS_MAX);
	*added = weir_endpoint_create(keys);
	if (*added == NULL)
		return -rte_errno;
	backend->endpoints[backend->n_endpoints++] = *added;
	return 0;
}

int
backend_remove_endpoint(struct backend *backend, const char *name)
{
	struct weir_endpoint *endpoint;
	unsigned int i;
	int rc;

	rc = backend_find_endpoint(backend, name, &endpoint);
	if (rc != 0)
		return rc;
	for (i = 0; i < backend->n_guests; i++)
		if (weir_guest_endpoint(backend->guests[i]) == endpoint)
			return weir_error(
				EBUSY,
				"endpoint '%s' serves guest '%s': remove the guest, or swap it "
				"to another endpoint, first",
				name, weir_guest_name(backend->guests[i]));
	for (i = 0; backend->endpoints[i] != endpoint; i++)
		;
	backend->endpoints[i] = backend->endpoints[--backend->n_endpoints];
	weir_endpoint_free(endpoint);
	return 0;
}

/* Guests. */

int
backend_find_guest(struct backend *backend, const char *name, struct weir_guest **guest)
{
	unsigned int i;

	for (i = 0; i < backend->n_guests; i++) {
		*guest = backend->guests[i];
		if (strcmp(weir_guest_name(*guest), name) == 0)
			return 0;
	}
	*guest = NULL;
	return weir_error(ENOENT, "there is no guest '%s': show guest lists them", name);
}

/** Created, but not started: nothing is seen outside. */
static int
create_guest(struct backend *backend, const char *keys, struct weir_guest **guest)
{
	if (backend->n_guests == OPTIONS_GUESTS_MAX)
		return weir_error(ENOSPC, "there are %u guests already: remove one first",
				  OPTIONS_GUESTS_MAX);
	*guest = weir_guest_create(keys, weir_pollers_scheduler(backend->pollers), backend->budget);
	if (*guest == NULL)
		return -rte_errno;
	backend->guests[backend->n_guests++] = *guest;
	return 0;
}

int
backend_add_guest(struct backend *backend, const char *keys, struct weir_guest **added)
{
	uint64_t before = weir_budget_used_bytes(backend->budget);
	char text[WEIR_ERROR_TEXTSIZE];
	int rc;

	rc = create_guest(backend, keys, added);
	if (rc != 0)
		return rc;
	rc = check_memory(weir_budget_used_bytes(backend->budget) - before);
	if (rc == 0)
		rc = weir_guest_start(*added);
	if (rc == 0)
		return 0;
	/* Said last, so that what is undone meanwhile does not hide it. */
	snprintf(text, sizeof(text), "%s", weir_error_text());
	backend->n_guests--;
	weir_guest_free(*added);
	return weir_error(-rc, "%s", text);
}

int
backend_remove_guest(struct backend *backend, const char *name)
{
	struct weir_guest *guest;
	unsigned int i;
	int rc;

	rc = backend_find_guest(backend, name, &guest);
	if (rc == 0)
		rc = weir_guest_finish(guest);
	if (rc != 0)
		return rc;
	for (i = 0; backend->guests[i] != guest; i++)
		;
	backend->guests[i] = backend->guests[--backend->n_guests];
	weir_guest_free(guest);
	return 0;
}

/* All of it. */

int
backend_open(struct backend *backend, const struct options *options)
{
	struct weir_endpoint *endpoint;
	struct weir_guest *guest;
	unsigned int i;
	int rc = 0;

	backend->spread = options->spread;
	backend->pollers = weir_pollers_start(options->idle_us);
	if (backend->pollers == NULL)
		return -rte_errno;
	backend->budget = weir_budget_create("host", NULL, options->budget_bytes);
	if (backend->budget == NULL)
		return -rte_errno;
	for (i = 0; rc == 0 && i < options->n_endpoints; i++)
		rc = backend_add_endpoint(backend, options->endpoints[i], &endpoint);
	for (i = 0; rc == 0 && i < options->n_guests; i++)
		rc = create_guest(backend, options->guests[i], &guest);
	backend->promised_bytes = weir_budget_used_bytes(backend->budget);
	if (rc == 0)
		rc = check_memory(backend->promised_bytes);
	/* All words are right: only now does anything appear outside. */
	weir_capture_set_budget(backend->budget);
	for (i = 0; rc == 0 && i < options->n_captures; i++)
		rc = weir_capture_start(options->captures[i]);
	/* Their staging must not be what the guests were promised. */
	if (rc == 0 && options->n_captures > 0)
		rc = check_memory(backend->promised_bytes);
	for (i = 0; rc == 0 && i < backend->n_guests; i++)
		rc = weir_guest_start(backend->guests[i]);
	return rc;
}

void
backend_close(struct backend *backend)
{
	unsigned int i;

	/* Patched guests hold each other's frames until both have stopped. */
	for (i = 0; i < backend->n_guests; i++)
		weir_guest_stop(backend->guests[i]);
	weir_capture_stop_all();
	weir_capture_set_budget(NULL);
	while (backend->n_guests > 0)
		weir_guest_free(backend->guests[--backend->n_guests]);
	while (backend->n_endpoints > 0)
		weir_endpoint_free(backend->endpoints[--backend->n_endpoints]);
	weir_budget_free(backend->budget);
	weir_pollers_stop(backend->pollers);
}

void
backend_tend(struct backend *backend)
{
	unsigned int i;

	for (i = 0; i < backend->n_endpoints; i++)
		weir_endpoint_tend(backend->endpoints[i]);
	for (i = 0; i < backend->n_guests; i++)
		weir_guest_tend(backend->guests[i]);
	if (backend->spread)
		weir_pollers_spread(backend->pollers, WEIR_POLLER_REST_MS_DEFAULT);
}
