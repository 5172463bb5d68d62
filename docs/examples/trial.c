/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller in C: commits a configuration on trial, and keeps it if the site says that it is in force.
 *
 *	cc trial.c -o trial $(pkg-config --cflags --libs libpontlevis)
 *	./trial SOCKET FILE
 */
#include <pontlevis/client.h>
#include <stdio.h>

enum { CONNECT_MS = 5000, COMMIT_MS = 60000, TRIAL_S = 30 };

/* The result of a method; NULL after having said why there is none. Takes the parameters over. */
static json_t *ask(struct pontlevis *site, const char *method, json_t *params)
{
	struct pontlevis_error error;
	json_t *answer = NULL;

	switch (pontlevis_call(site, method, params, COMMIT_MS, &answer, &error)) {
	case PONTLEVIS_ANSWERED:
		break;
	case PONTLEVIS_REFUSED:
		fprintf(stderr, "%s: %s (%s)\n", method, json_string_value(json_object_get(answer, "message")),
			json_string_value(json_object_get(json_object_get(answer, "data"), "pointer")));
		json_decref(answer);
		answer = NULL;
		break;
	case PONTLEVIS_LOST:
		fprintf(stderr, "%s: %s\n", method, error.text);
		break;
	}
	json_decref(params);
	return answer;
}

/* Whether the site runs what was committed. */
static int is_well(struct pontlevis *site)
{
	json_t *state = ask(site, "state.get", NULL);
	int well = json_is_true(json_object_get(state, "in_force"));

	json_decref(state);
	return well;
}

/* Returns 0 if the configuration is in force to stay. */
static int commit(struct pontlevis *site, json_t *config)
{
	json_t *result =
		ask(site, "config.commit", json_pack("{s:o, s:i}", "config", config, "confirm_timeout", TRIAL_S));
	json_t *confirmed;

	if (!result || !is_well(site)) {
		json_decref(result);
		return 1; /* not confirmed: the site goes back by itself */
	}
	confirmed =
		ask(site, "config.confirm", json_pack("{s:O}", "expect_revision", json_object_get(result, "revision")));
	if (confirmed)
		printf("revision %" JSON_INTEGER_FORMAT " is in force\n",
			json_integer_value(json_object_get(confirmed, "revision")));
	json_decref(result);
	json_decref(confirmed);
	return confirmed == NULL;
}

int main(int argc, char *argv[])
{
	struct pontlevis_error error;
	struct pontlevis *site;
	json_error_t place;
	json_t *config;
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: trial SOCKET FILE\n");
		return 2;
	}
	config = json_load_file(argv[2], JSON_REJECT_DUPLICATES, &place);
	if (!config) {
		fprintf(stderr, "%s:%d: %s\n", argv[2], place.line, place.text);
		return 2;
	}
	site = pontlevis_connect(argv[1], CONNECT_MS, &error);
	if (!site) {
		fprintf(stderr, "%s\n", error.text);
		json_decref(config);
		return 3;
	}
	status = commit(site, config);
	pontlevis_close(site);
	return status;
}
