/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/compiler.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/control.h"
#include "control/fence/section.h"

struct compiler {
	void (*finished)(void *context);
	void *context;
	int done_fd; /* eventfd: the thread has ended */
	struct event *event;
	bool is_running; /* the thread; until it has ended, what stands below is its own */
	pthread_t thread;

	/* What was asked for last, NULL: nothing, and what came of it. */
	json_t *fence;
	struct section section;
	uint64_t revision;
	struct policy_stamp stamp;
	struct fence_policy *policy; /* NULL: the error says why not */
	struct error error;
};

static void *work(void *context)
{
	struct compiler *compiler = context;
	const uint64_t one = 1;

	compiler->policy = fence_policy_compile(&compiler->section.source, compiler->revision, &compiler->error);
	while (write(compiler->done_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

/* Forgets what was asked for last. */
static void forget(struct compiler *compiler)
{
	if (compiler->fence == NULL)
		return;
	fence_policy_free(compiler->policy);
	compiler->policy = NULL;
	section_free(&compiler->section);
	json_decref(compiler->fence);
	compiler->fence = NULL;
}

static void join(struct compiler *compiler)
{
	if (!compiler->is_running)
		return;
	(void)pthread_join(compiler->thread, NULL);
	compiler->is_running = false;
}

static void on_done(evutil_socket_t fd, short what, void *context)
{
	struct compiler *compiler = context;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	join(compiler);
	compiler->finished(compiler->context);
}

struct compiler *compiler_start(
	struct event_base *base, void (*finished)(void *context), void *context, struct error *error)
{
	struct compiler *compiler = calloc(1, sizeof(*compiler));

	if (compiler == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	compiler->finished = finished;
	compiler->context = context;
	compiler->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (compiler->done_fd >= 0)
		compiler->event = event_new(base, compiler->done_fd, EV_READ | EV_PERSIST, on_done, compiler);
	if (compiler->event == NULL || event_add(compiler->event, NULL) != 0) {
		(void)error_set(error, ENOMEM, NULL, "event of the policy compiler: %s", strerror(errno));
		compiler_stop(compiler);
		return NULL;
	}
	return compiler;
}

void compiler_stop(struct compiler *compiler)
{
	if (compiler == NULL)
		return;
	join(compiler);
	forget(compiler);
	if (compiler->event != NULL)
		event_free(compiler->event);
	if (compiler->done_fd >= 0)
		(void)close(compiler->done_fd);
	free(compiler);
}

/* Signals are the event loop's business. */
static int start_thread(struct compiler *compiler)
{
	sigset_t all, before;
	int code;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	code = pthread_create(&compiler->thread, NULL, work, compiler);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

static void begin(struct compiler *compiler, const json_t *fence, uint64_t revision, const struct policy_stamp *stamp,
	struct error *error)
{
	int code;

	forget(compiler);
	compiler->fence = json_deep_copy(fence);
	if (compiler->fence == NULL) {
		(void)error_set(error, ENOMEM, "/fence", "out of memory");
		return;
	}
	if (section_read(&compiler->section, compiler->fence, error) != 0) {
		json_decref(compiler->fence);
		compiler->fence = NULL;
		return;
	}
	compiler->revision = revision;
	compiler->stamp = *stamp;
	code = start_thread(compiler);
	if (code != 0) {
		forget(compiler);
		(void)error_set(error, code, "/fence", "thread to compile the policy in: %s", strerror(code));
		return;
	}
	compiler->is_running = true;
	(void)error_set(error, EINPROGRESS, "/fence", "the policy is being compiled");
}

struct fence_policy *compiler_take(struct compiler *compiler, const json_t *fence, uint64_t revision,
	const struct policy_stamp *stamp, struct error *error)
{
	struct fence_policy *policy;

	if (compiler->is_running) {
		(void)error_set(error, EINPROGRESS, "/fence", "another policy is being compiled");
		return NULL;
	}
	if (compiler->fence == NULL || compiler->revision != revision || !json_equal(compiler->fence, fence) ||
		memcmp(&compiler->stamp, stamp, sizeof(*stamp)) != 0) {
		begin(compiler, fence, revision, stamp, error);
		return NULL;
	}
	policy = compiler->policy;
	compiler->policy = NULL;
	if (policy == NULL)
		*error = compiler->error;
	forget(compiler);
	return policy;
}
