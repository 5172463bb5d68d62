/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/cli/ask.h"
#include "control/cli/command.h"
#include "control/cli/document.h"
#include "control/cli/messages.h"
#include "control/cli/report.h"

/* Writes the document to a new file, whose name replaces the end of the path. */
static int write_file(char *path, const json_t *document)
{
	int fd = mkstemps(path, (int)strlen(".json")), result;
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (!file) {
		report_failure("%s: %s", path, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return -1;
	}
	result = json_dumpf(document, file, JSON_INDENT(2));
	(void)fputc('\n', file);
	if (fclose(file) != 0 || result != 0) {
		report_failure(_("%s: cannot be written: %s"), path, strerror(errno));
		(void)unlink(path);
		return -1;
	}
	return 0;
}

/* $VISUAL and $EDITOR may have arguments, so a shell starts them. */
static int run_editor(const char *path)
{
	const char *editor = getenv("VISUAL");
	int status = -1;
	pid_t pid;

	if (!editor || !editor[0])
		editor = getenv("EDITOR");
	if (!editor || !editor[0])
		editor = "vi";
	pid = fork();
	if (pid == 0) {
		char *command = NULL;

		if (asprintf(&command, "%s \"$1\"", editor) >= 0)
			(void)execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	report_failure(_("the editor \"%s\" did not end well; nothing is changed"), editor);
	return -1;
}

/* Commits what the file has; *result NULL with STATUS_OK: it has nothing new. */
static int commit_file(struct pontlevis *connection, int timeout_ms, const json_t *arguments, const char *path,
	const json_t *current, json_t **result)
{
	struct error error = {0};
	json_t *document = document_read(path, &error), *params;
	int status;

	if (!document) {
		report_failure("%s", error.text);
		return STATUS_USAGE;
	}
	if (json_equal(document, json_object_get(current, "config"))) {
		(void)fprintf(stderr, "%s\n", _("nothing is changed"));
		json_decref(document);
		return STATUS_OK;
	}
	params = json_deep_copy(arguments);
	(void)json_object_set_new(params, "config", document);
	/* Somebody else may have committed while the editor was open. */
	(void)json_object_set(params, "expect_revision", json_object_get(current, "revision"));
	status = ask(connection, "config.commit", params, timeout_ms, result);
	json_decref(params);
	return status;
}

static int edit_file(
	struct pontlevis *connection, int timeout_ms, const json_t *arguments, const json_t *current, json_t **result)
{
	const char *directory = getenv("TMPDIR");
	char *path = NULL;
	int status;

	if (asprintf(&path, "%s/pontlevis-XXXXXX.json", directory && directory[0] ? directory : "/tmp") < 0)
		return STATUS_USAGE;
	if (write_file(path, json_object_get(current, "config")) != 0) {
		free(path);
		return STATUS_USAGE;
	}
	status = run_editor(path) == 0 ? commit_file(connection, timeout_ms, arguments, path, current, result)
				       : STATUS_USAGE;
	if (status == STATUS_OK)
		(void)unlink(path);
	else
		report_failure(_("what was edited is kept in %s"), path);
	free(path);
	return status;
}

int edit_config(struct pontlevis *connection, int timeout_ms, const json_t *arguments, json_t **result)
{
	json_t *current = NULL;
	int status = ask(connection, "config.get", NULL, timeout_ms, &current);

	*result = NULL;
	if (status == STATUS_OK && !json_is_object(json_object_get(current, "config"))) {
		report_failure("%s", _("nothing has been committed yet: begin with `config commit FILE`"));
		status = STATUS_REFUSED;
	} else if (status == STATUS_OK) {
		status = edit_file(connection, timeout_ms, arguments, current, result);
	}
	json_decref(current);
	return status;
}
