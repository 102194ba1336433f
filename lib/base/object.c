/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir_error.h"
#include "weir_object.h"

#define CLASS_MAX 16

/* Telemetry hands a callback no context but the command: this is how it finds the class. */
static struct weir_class *classes[CLASS_MAX];
static unsigned int n_classes;

static struct weir_object *
object_find_locked(struct weir_class *class, const char *name)
{
	struct weir_object *object;

	TAILQ_FOREACH(object, &class->objects, next)
		if (strcmp(object->name, name) == 0)
			return object;
	return NULL;
}

static struct weir_class *
class_of_command(const char *cmd)
{
	char prefix[64];
	unsigned int i;

	for (i = 0; i < n_classes; i++) {
		snprintf(prefix, sizeof(prefix), "/weir/%s/", classes[i]->room);
		if (strncmp(cmd, prefix, strlen(prefix)) == 0)
			return classes[i];
	}
	return NULL;
}

static int
telemetry_list(const char *cmd, const char *params __rte_unused, struct rte_tel_data *d)
{
	struct weir_class *class = class_of_command(cmd);
	struct weir_object *object;

	rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	pthread_mutex_lock(&class->lock);
	TAILQ_FOREACH(object, &class->objects, next)
		if (rte_tel_data_add_array_string(d, object->name) != 0)
			break; /* an array is full at 512: the reply is a prefix */
	pthread_mutex_unlock(&class->lock);
	return 0;
}

static int
telemetry_show(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct weir_class *class = class_of_command(cmd);
	struct weir_object *object;
	int rc = -ENOENT;

	if (params == NULL || *params == '\0')
		return -EINVAL;
	pthread_mutex_lock(&class->lock);
	object = object_find_locked(class, params);
	if (object != NULL) {
		rte_tel_data_start_dict(d);
		if (strstr(cmd, "/info") != NULL)
			class->info(object, d);
		else
			class->stats(object, d);
		rc = 0;
	}
	pthread_mutex_unlock(&class->lock);
	return rc;
}

static void
class_command(const struct weir_class *class, const char *verb, telemetry_cb fn, const char *help)
{
	char cmd[64];
	int rc;

	snprintf(cmd, sizeof(cmd), "/weir/%s/%s", class->room, verb);
	rc = rte_telemetry_register_cmd(cmd, fn, help);
	/*
	 * A program of ours that loads our mempool plug-in has this room twice: the
	 * first copy serves, and the second one's driver says that it stays idle.
	 */
	if (rc != 0 && rc != -EEXIST) {
		fprintf(stderr, "weir: cannot register the telemetry command %s\n", cmd);
		abort();
	}
}

static struct weir_class *
class_of_room(const char *room)
{
	unsigned int i;

	for (i = 0; i < n_classes; i++)
		if (strcmp(classes[i]->room, room) == 0)
			return classes[i];
	return NULL;
}

void
weir_class_register(struct weir_class *class)
{
	if (class->room == NULL || class->info == NULL || class->stats == NULL ||
	    class_of_room(class->room) != NULL || n_classes == CLASS_MAX) {
		fprintf(stderr,
			"weir: class %s is incomplete or taken, or the table of %d is full\n",
			class->room ? class->room : "?", CLASS_MAX);
		abort();
	}
	pthread_mutex_init(&class->lock, NULL);
	TAILQ_INIT(&class->objects);
	classes[n_classes++] = class;
	class_command(class, "list", telemetry_list, "Returns the names. Takes no parameters");
	class_command(class, "info", telemetry_show, "Returns what it is. Parameters: string name");
	class_command(class, "stats", telemetry_show, "Returns counters. Parameters: string name");
}

int
weir_object_check_name(const char *name)
{
	size_t i, len = name == NULL ? 0 : strlen(name);

	if (len == 0 || len >= WEIR_OBJECT_NAMESIZE)
		return weir_error(EINVAL, "name '%s' has %zu characters: 1 to %d are allowed",
				  len ? name : "", len, WEIR_OBJECT_NAMESIZE - 1);
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL)
			return weir_error(EINVAL,
					  "name '%s' has '%c': letters, digits, '.', '_' and '-' "
					  "are allowed",
					  name, name[i]);
	return 0;
}

int
weir_object_add(struct weir_class *class, struct weir_object *object, const char *name)
{
	int rc = weir_object_check_name(name);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&class->lock);
	if (object_find_locked(class, name) != NULL) {
		rc = weir_error(EEXIST, "there is already a %s named '%s'", class->room, name);
	} else {
		snprintf(object->name, sizeof(object->name), "%s", name);
		TAILQ_INSERT_TAIL(&class->objects, object, next);
	}
	pthread_mutex_unlock(&class->lock);
	return rc;
}

void
weir_object_remove(struct weir_class *class, struct weir_object *object)
{
	pthread_mutex_lock(&class->lock);
	TAILQ_REMOVE(&class->objects, object, next);
	pthread_mutex_unlock(&class->lock);
}

struct weir_object *
weir_object_find(struct weir_class *class, const char *name)
{
	struct weir_object *object;

	pthread_mutex_lock(&class->lock);
	object = object_find_locked(class, name);
	pthread_mutex_unlock(&class->lock);
	return object;
}

unsigned int
weir_object_names(const char *room, char (*names)[WEIR_OBJECT_NAMESIZE], unsigned int max)
{
	struct weir_class *class = class_of_room(room);
	struct weir_object *object;
	unsigned int n = 0;

	if (class == NULL)
		return 0;
	pthread_mutex_lock(&class->lock);
	TAILQ_FOREACH(object, &class->objects, next)
		if (n < max)
			memcpy(names[n++], object->name, sizeof(object->name));
	pthread_mutex_unlock(&class->lock);
	return n;
}
