/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/cli/command.h"

#include <string.h>

#include "control/cli/edit.h"
#include "control/cli/key.h"
#include "control/cli/messages.h"
#include "control/cli/policy.h"
#include "control/cli/report.h"

/* Of every command that changes the configuration. */
#define CONFIRM_TIMEOUT                                                                                                \
	{                                                                                                              \
		.member = "confirm_timeout", .option = "confirm-timeout", .metavar = N_("S"),                          \
		.type = PARAMETER_INTEGER, .minimum = 1, .maximum = 86400,                                             \
		.help = N_("Go back after S seconds without `config confirm`")                                         \
	}

/* So that nobody undoes what somebody else has done meanwhile. */
#define EXPECT_REVISION                                                                                                \
	{                                                                                                              \
		.member = "expect_revision", .option = "expect-revision", .metavar = N_("N"),                          \
		.type = PARAMETER_INTEGER, .maximum = INT64_MAX,                                                       \
		.help = N_("Refuse unless N is the current revision (0: none yet)")                                    \
	}

/* Whose keys. */
#define OF_TENANT                                                                                                      \
	{                                                                                                              \
		.member = "tenant", .option = "tenant", .letter = 't', .metavar = N_("NAME"), .type = PARAMETER_TEXT,  \
		.help = N_("Tenant; without --peer at all sites")                                                      \
	}
#define OF_PEER                                                                                                        \
	{                                                                                                              \
		.member = "peer", .option = "peer", .letter = 'p', .metavar = N_("NAME"), .type = PARAMETER_TEXT,      \
		.help = N_("Peer; without --tenant all tenants")                                                       \
	}

const struct command commands[] = {
	{
		.name = "version",
		.method = "version",
		.summary = N_("Show the version of the running control process"),
		.print = report_value,
	},
	{
		.name = "status",
		.method = "state.get",
		.summary = N_("Show all on one screen, what is wrong first"),
		.details = N_("Site, revision in force, dataplane, fence, how many other sites and tenants; ports and "
			      "other sites as far as 24 lines of 80 columns have room. What does not fit is counted: "
			      "--json shows everything."),
		.print = report_status,
		.watch = true,
	},
	{
		.name = "peers",
		.method = "peers.list",
		.summary = N_("List the other sites and what leads to them"),
		.details = N_("For each: state of the key session and its age, next hop as the kernel resolves it, "
			      "port and path MTU of the adjacency, and whether the fence lets packets go there."),
		.print = report_peers,
		.watch = true,
	},
	{
		.name = "tenants",
		.method = "tenants.list",
		.summary = N_("List the tenants, their circuits and sites"),
		.details =
			N_("A site in parentheses does not (yet) have the tenant, or does not name this site for it."),
		.print = report_tenants,
		.watch = true,
	},
	{
		.name = "sas",
		.method = "sas.list",
		.summary = N_("List the security associations, never their keys"),
		.print = report_sas,
		.watch = true,
	},
	{
		.name = "keys revoke",
		.method = "keys.revoke",
		.summary = N_("Take keys of a tenant or peer out of every place"),
		.details = N_("Nothing is sealed or opened with them any more, here or by what they were made from; "
			      "the answer says how long that took. A revocation outlives restarts and commits, until "
			      "'keys reinstate' with the same options lifts it."),
		.parameters =
			{
				OF_TENANT,
				OF_PEER,
			},
		.print = report_value,
	},
	{
		.name = "keys reinstate",
		.method = "keys.reinstate",
		.summary = N_("Lift a revocation: keys are agreed anew"),
		.parameters =
			{
				OF_TENANT,
				OF_PEER,
			},
		.print = report_value,
	},
	{
		.name = "keys revoked",
		.method = "keys.revoked",
		.summary = N_("List what is revoked"),
		.print = report_value,
		.watch = true,
	},
	{
		.name = "keys renew",
		.method = "keys.renew",
		.summary = N_("Replace security associations, losing no packet"),
		.parameters =
			{
				OF_TENANT,
				OF_PEER,
			},
		.print = report_value,
	},
	{
		.name = "fdb",
		.method = "fdb.list",
		.summary = N_("List the MAC addresses learnt"),
		.parameters =
			{
				{.member = "tenant",
					.option = "tenant",
					.metavar = N_("NAME"),
					.type = PARAMETER_TEXT,
					.help = N_("Only this tenant")},
				{.member = "limit",
					.option = "limit",
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.minimum = 1,
					.maximum = 100000,
					.help = N_("At most so many addresses (default 10000)")},
			},
		.print = report_fdb,
		.watch = true,
	},
	{
		.name = "stats",
		.method = "stats.get",
		.summary = N_("Show the books of every tenant, every drop named"),
		.details = N_("For each tenant: received + copies = sent + dropped + difference. The difference is 0 "
			      "whenever no packet is in flight. The tenant '-' keeps the books of packets that belong "
			      "to no tenant."),
		.parameters =
			{
				{.member = "tenant",
					.option = "tenant",
					.letter = 't',
					.metavar = N_("NAME"),
					.type = PARAMETER_TEXT,
					.help = N_("Only this tenant")},
			},
		.print = report_stats,
		.watch = true,
	},
	{
		.name = "config validate",
		.method = "config.validate",
		.summary = N_("Check a configuration, change nothing"),
		.details = N_("All checks of a commit are made, those of the fence included."),
		.parameters =
			{
				{.member = "config",
					.metavar = N_("FILE"),
					.type = PARAMETER_DOCUMENT,
					.required = true,
					.help = N_("The document, - for standard input")},
			},
		.print = report_value,
	},
	{
		.name = "config edit",
		.method = "config.commit",
		.summary = N_("Change the configuration in an editor"),
		.details = N_("Opens the current configuration in $VISUAL, $EDITOR or vi and commits what was written "
			      "there, unless it is the same. Refused if somebody else has committed meanwhile. What is "
			      "not in force afterwards stays in a file that is named."),
		.parameters =
			{
				CONFIRM_TIMEOUT,
			},
		.print = report_commit,
		.converse = edit_config,
	},
	{
		.name = "config commit",
		.method = "config.commit",
		.summary = N_("Put a configuration in force, all or nothing"),
		.details = N_("The answer comes when the document is in force everywhere and on disk. After an error "
			      "everything is as it was before. With a time limit the configuration is on trial: unless "
			      "`config confirm` comes in time, the one before is put in force again."),
		.parameters =
			{
				{.member = "config",
					.metavar = N_("FILE"),
					.type = PARAMETER_DOCUMENT,
					.required = true,
					.help = N_("The document, - for standard input")},
				EXPECT_REVISION,
				CONFIRM_TIMEOUT,
			},
		.print = report_commit,
	},
	{
		.name = "config patch",
		.method = "config.patch",
		.summary = N_("Change a part of the configuration"),
		.details = N_("FILE is a JSON merge patch (RFC 7396) of the configuration in force: members replace "
			      "those of the same name, null removes one, arrays are replaced as a whole."),
		.parameters =
			{
				{.member = "patch",
					.metavar = N_("FILE"),
					.type = PARAMETER_DOCUMENT,
					.required = true,
					.help = N_("The patch, - for standard input")},
				EXPECT_REVISION,
				CONFIRM_TIMEOUT,
			},
		.print = report_commit,
	},
	{
		.name = "config confirm",
		.method = "config.confirm",
		.summary = N_("Keep the configuration that is on trial"),
		.parameters =
			{
				EXPECT_REVISION,
			},
		.print = report_value,
	},
	{
		.name = "config rollback",
		.method = "config.rollback",
		.summary = N_("Put an earlier configuration in force again"),
		.details = N_("It becomes a new revision, after all checks of a commit."),
		.parameters =
			{
				{.member = "revision",
					.option = "revision",
					.letter = 'r',
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.minimum = 1,
					.maximum = INT64_MAX,
					.help = N_("The one to go back to (default: the one before)")},
				EXPECT_REVISION,
				CONFIRM_TIMEOUT,
			},
		.print = report_commit,
	},
	{
		.name = "config diff",
		.method = "config.diff",
		.summary = N_("Show what is different between configurations"),
		.details = N_("Of the configuration in force and FILE, or of two revisions."),
		.parameters =
			{
				{.member = "config",
					.metavar = N_("FILE"),
					.type = PARAMETER_DOCUMENT,
					.help = N_("The document to compare with, - for standard input")},
				{.member = "from",
					.option = "from",
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.maximum = INT64_MAX,
					.help = N_("The earlier revision (default: the one in force)")},
				{.member = "to",
					.option = "to",
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.maximum = INT64_MAX,
					.help = N_("The later revision (default: the one in force)")},
			},
		.print = report_diff,
	},
	{
		.name = "config get",
		.method = "config.get",
		.summary = N_("Print the configuration in force"),
		.details = N_("The document goes to standard output, its revision to standard error, so that the "
			      "output can be edited and committed again."),
		.parameters =
			{
				{.member = "revision",
					.option = "revision",
					.letter = 'r',
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.minimum = 1,
					.maximum = INT64_MAX,
					.help = N_("That of an earlier revision")},
			},
		.print = report_config,
	},
	{
		.name = "config history",
		.method = "config.history",
		.summary = N_("List the revisions kept: when, and by whom"),
		.details = N_("The last 20 revisions are kept."),
		.print = report_history,
		.watch = true,
	},
	{
		.name = "fence status",
		.method = "fence.status",
		.summary = N_("Show the egress policy, counters, last denials"),
		.details = N_("Counters are by place: tc (egress of kernel interfaces), cgroup and connect (local "
			      "processes), dataplane (transmission to the WAN)."),
		.print = report_fence,
		.watch = true,
	},
	{
		.name = "fence explain",
		.method = "fence.explain",
		.summary = N_("Say whether an address may be reached, and why"),
		.parameters =
			{
				{.member = "address",
					.metavar = N_("ADDRESS"),
					.type = PARAMETER_TEXT,
					.required = true,
					.help = N_("IPv4 or IPv6 address")},
				{.member = "bundle",
					.option = "bundle",
					.metavar = N_("FILE"),
					.type = PARAMETER_PATH,
					.help = N_("By the policy of a bundle, without the control process")},
			},
		.details = N_("Shows the label of the address, the rule that decided, and what each source says of it, "
			      "with the line of the file, its date and its origin."),
		.answer = policy_explain,
		.print = report_explanation,
	},
	{
		.name = "fence matrix",
		.method = "fence.matrix",
		.summary = N_("Show who may reach whom"),
		.details = N_("The other sites with the tenants that are stretched there, then everybody else by "
			      "jurisdiction and location, or by operator, with the number of addresses."),
		.parameters =
			{
				{.member = "by",
					.option = "by",
					.metavar = N_("WHAT"),
					.type = PARAMETER_TEXT,
					.help = N_("jurisdiction (default) or operator")},
				{.member = "limit",
					.option = "limit",
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.minimum = 1,
					.maximum = 100000,
					.help = N_("At most so many entities, the largest first (default 1000)")},
				{.member = "csv",
					.option = "csv",
					.type = PARAMETER_FLAG,
					.help = N_("Print as CSV, for a spreadsheet")},
			},
		.print = report_matrix,
		.print_csv = report_matrix_csv,
	},
	{
		.name = "fence diff",
		.method = "fence.diff",
		.summary = N_("Show what a bundle would allow and deny anew"),
		.details = N_(
			"Compared with the policy in force, or, without the control process, from BUNDLE to AFTER. "
			"Counts addresses by entity; IPv6 in networks of 64 bits. The signatures are not looked at."),
		.parameters =
			{
				{.member = "bundle",
					.metavar = N_("BUNDLE"),
					.type = PARAMETER_PATH,
					.required = true,
					.help = N_("The bundle (absolute path, if the control process is to read it)")},
				{.member = "after",
					.metavar = N_("AFTER"),
					.type = PARAMETER_PATH,
					.help = N_("A bundle to which BUNDLE is compared")},
				{.member = "limit",
					.option = "limit",
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.minimum = 1,
					.maximum = 100000,
					.help = N_("At most so many entities, the largest first (default 50)")},
			},
		.answer = policy_diff,
		.print = report_difference,
	},
	{
		.name = "fence compile",
		.summary = N_("Make a policy bundle of sources and rules"),
		.details = N_("The policy is the fence section of a configuration, or a configuration that has one, "
			      "with sources and rules. The same sources, rules and version give the same bytes. Does "
			      "not need the control process."),
		.parameters =
			{
				{.member = "policy",
					.metavar = N_("POLICY"),
					.type = PARAMETER_DOCUMENT,
					.required = true,
					.help = N_("The policy, - for standard input")},
				{.member = "version",
					.option = "bundle-version",
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.required = true,
					.minimum = 1,
					.maximum = INT64_MAX,
					.help = N_(
						"Version of the bundle: higher than that of every bundle before it")},
				{.member = "output",
					.option = "output",
					.letter = 'o',
					.metavar = N_("FILE"),
					.type = PARAMETER_PATH,
					.required = true,
					.help = N_("Bundle to write")},
			},
		.answer = policy_compile,
		.print = report_value,
	},
	{
		.name = "fence sign",
		.summary = N_("Sign a policy bundle"),
		.details = N_("With Ed25519. A signature that the bundle has is replaced. Does not need the control "
			      "process."),
		.parameters =
			{
				{.member = "bundle",
					.metavar = N_("BUNDLE"),
					.type = PARAMETER_PATH,
					.required = true,
					.help = N_("The bundle")},
				{.member = "key",
					.option = "key",
					.metavar = N_("FILE"),
					.type = PARAMETER_PATH,
					.required = true,
					.help = N_("Key file made by `pontlevis key generate`, for this use alone")},
				{.member = "output",
					.option = "output",
					.letter = 'o',
					.metavar = N_("FILE"),
					.type = PARAMETER_PATH,
					.help = N_("Signed bundle to write (default: in place)")},
			},
		.answer = policy_sign,
		.print = report_value,
	},
	{
		.name = "fence verify",
		.summary = N_("Check a policy bundle and its signature"),
		.details = N_("Does not need the control process."),
		.parameters =
			{
				{.member = "bundle",
					.metavar = N_("BUNDLE"),
					.type = PARAMETER_PATH,
					.required = true,
					.help = N_("The bundle")},
				{.member = "trust",
					.option = "trust",
					.metavar = N_("KEY,..."),
					.type = PARAMETER_LIST,
					.required = true,
					.help = N_("Public keys, one of which must have signed it, as `pontlevis key "
						   "signing-public` prints them")},
			},
		.answer = policy_verify,
		.print = report_value,
	},
	{
		.name = "fence reload",
		.method = "fence.reload",
		.summary = N_("Read the fence's sources or its bundle again"),
		.details = N_("A peer that is no longer allowed is blocked; a file that cannot be read leaves the "
			      "policy as it is."),
		.parameters =
			{
				{.member = "confirm_timeout",
					.option = "confirm-timeout",
					.metavar = N_("SECONDS"),
					.type = PARAMETER_INTEGER,
					.minimum = 1,
					.maximum = 604800,
					.help = N_(
						"The policy before comes back unless `fence confirm` follows in time")},
			},
		.print = report_value,
	},
	{
		.name = "fence lock",
		.method = "fence.lock",
		.summary = N_("Emergency: let nothing leave any more"),
		.details = N_("At every place at once: kernel interfaces, local processes, dataplane. Whatever the "
			      "policy says, and also after a restart, until `fence unlock`. Without a control process: "
			      "`pontlevis-control --lock`."),
		.parameters =
			{
				{.member = "reason",
					.option = "reason",
					.metavar = N_("TEXT"),
					.type = PARAMETER_TEXT,
					.help = N_("For whoever reads the log")},
				{.member = "confirm_timeout",
					.option = "confirm-timeout",
					.metavar = N_("SECONDS"),
					.type = PARAMETER_INTEGER,
					.minimum = 1,
					.maximum = 604800,
					.help = N_("Unlock again unless `fence confirm` follows in time, so that "
						   "nobody locks himself out")},
			},
		.print = report_value,
	},
	{
		.name = "fence unlock",
		.method = "fence.unlock",
		.summary = N_("Let the policy decide again"),
		.print = report_value,
	},
	{
		.name = "fence confirm",
		.method = "fence.confirm",
		.summary = N_("Keep a lock or policy that waits for it"),
		.print = report_value,
	},
	{
		.name = "fence shadow start",
		.method = "fence.shadow.start",
		.summary = N_("Run a candidate policy beside the one in force"),
		.details =
			N_("It is asked about every packet and changes no verdict. Where it would decide otherwise is "
			   "counted, at every place, until `fence shadow stop` or the end of the control process."),
		.parameters =
			{
				{.member = "fence",
					.metavar = N_("FILE"),
					.type = PARAMETER_DOCUMENT,
					.help = N_("The fence section of a configuration, - for standard input "
						   "(default: the committed one, with its files as they are now)")},
			},
		.print = report_value,
	},
	{
		.name = "fence shadow status",
		.method = "fence.shadow.status",
		.summary = N_("Show what the candidate would block or let out"),
		.print = report_shadow,
		.watch = true,
	},
	{
		.name = "fence shadow stop",
		.method = "fence.shadow.stop",
		.summary = N_("End the candidate policy"),
		.print = report_value,
	},
	{
		.name = "audit",
		.method = "audit.tail",
		.summary = N_("Show the last events of the audit log"),
		.details = N_("Oldest first."),
		.parameters =
			{
				{.member = "count",
					.option = "count",
					.letter = 'n',
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.minimum = 1,
					.maximum = 256,
					.help = N_("So many events (default 20)")},
			},
		.print = report_audit,
	},
	{
		.name = "events",
		.method = "events.subscribe",
		.summary = N_("Show what has happened, or follow what happens"),
		.details = N_("Events of the control process' journal, which is bounded: what is no longer there is "
			      "said to be gone. Numbers count from 1 in every life of the control process. With --json "
			      "each event is a line. With --follow a control process that goes away is waited for, and "
			      "the next one tells its events from 1 on; standard error says so, and what may have been "
			      "missed."),
		.parameters =
			{
				{.member = "follow",
					.option = "follow",
					.letter = 'f',
					.type = PARAMETER_FLAG,
					.help = N_("Go on with new events until interrupted")},
				{.member = "from",
					.option = "from",
					.metavar = N_("N"),
					.type = PARAMETER_INTEGER,
					.maximum = INT64_MAX,
					.help = N_("From number N on (0: the oldest there is, the default without "
						   "--follow)")},
				{.member = "epoch",
					.option = "epoch",
					.metavar = N_("EPOCH"),
					.type = PARAMETER_TEXT,
					.help = N_("The life of the control process that N is of; everything of the "
						   "present one if that is another")},
				{.member = "events",
					.option = "filter",
					.metavar = N_("NAME,..."),
					.type = PARAMETER_LIST,
					.help = N_("Only these events, or families of events: sa, session.down")},
				{.member = "tenant",
					.option = "tenant",
					.letter = 't',
					.metavar = N_("NAME"),
					.type = PARAMETER_TEXT,
					.help = N_("Only events about this tenant")},
				{.member = "peer",
					.option = "peer",
					.metavar = N_("NAME"),
					.type = PARAMETER_TEXT,
					.help = N_("Only events about this peer")},
			},
		.notice = report_notice,
	},
	{
		.name = "crypto",
		.method = "crypto.inventory",
		.summary = N_("List all cryptography: what, where, how long"),
		.details = N_("Protocols, primitives with their parameters, the libraries that run, and the lifetimes "
			      "of keys in force."),
		.print = report_value,
	},
	{
		.name = "methods",
		.method = "rpc.discover",
		.summary = N_("List the methods of the controller socket"),
		.print = report_methods,
	},
	{
		.name = "call",
		.summary = N_("Call any method of the controller socket"),
		.details =
			N_("Arguments of a command can be seen by every user of the machine. Therefore the methods of "
			   "lab builds, which take keys, accept their parameters from standard input or a file only."),
		.parameters =
			{
				{.member = "method",
					.metavar = N_("METHOD"),
					.type = PARAMETER_TEXT,
					.required = true,
					.help = N_("Name of the method, as `pontlevis methods` lists them")},
				{.member = "params",
					.metavar = N_("PARAMS"),
					.type = PARAMETER_PARAMS,
					.help = N_("JSON object with the parameters, - for standard input, @FILE for a "
						   "file")},
			},
		.print = report_value,
	},
	{
		.name = "key generate",
		.summary = N_("Write a new random key to a file"),
		.details = N_("The file has mode 0600 and serves as identity of a site and as pre-shared key alike. An "
			      "existing file is never overwritten. The key itself is never shown. Does not need the "
			      "control process."),
		.parameters =
			{
				{.member = "file",
					.metavar = N_("FILE"),
					.type = PARAMETER_PATH,
					.required = true,
					.help = N_("File to make")},
			},
		.run = key_generate,
	},
	{
		.name = "key public",
		.summary = N_("Print the public key of an identity file"),
		.details = N_("In base64, as the configurations of the other sites take it. Does not need the control "
			      "process."),
		.parameters =
			{
				{.member = "file",
					.metavar = N_("FILE"),
					.type = PARAMETER_PATH,
					.required = true,
					.help = N_("File made by `pontlevis key generate`")},
			},
		.run = key_public,
	},
	{
		.name = "key signing-public",
		.summary = N_("Print the public key of a signing key file"),
		.details = N_("In base64, as `trusted_keys` of a configuration takes it. The file is made by "
			      "`pontlevis key generate` like any other; use it for signing policy bundles and for "
			      "nothing else. Does not need the control process."),
		.parameters =
			{
				{.member = "file",
					.metavar = N_("FILE"),
					.type = PARAMETER_PATH,
					.required = true,
					.help = N_("File made by `pontlevis key generate`")},
			},
		.run = key_signing_public,
	},
	{0},
};

/* How many words of the name the arguments match; *whole: that is all of them. */
static int match(const char *name, int argc, char *const *argv, bool *whole)
{
	int words = 0;

	*whole = false;
	while (words < argc) {
		size_t length = strcspn(name, " ");

		if (strlen(argv[words]) != length || strncmp(argv[words], name, length) != 0)
			return words;
		words++;
		if (name[length] == '\0') {
			*whole = true;
			return words;
		}
		name += length + 1;
	}
	return words;
}

const struct command *command_find(int argc, char *const *argv, int *words)
{
	int begun = 0;

	for (const struct command *command = commands; command->name; command++) {
		bool whole;

		*words = match(command->name, argc, argv, &whole);
		if (whole)
			return command;
		if (*words > begun)
			begun = *words;
	}
	*words = begun;
	return NULL;
}

void command_usage(const struct command *command, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "%s", command->name);

	for (const struct parameter *parameter = command->parameters; parameter->type && used < size; parameter++) {
		const char *metavar = parameter->metavar ? _(parameter->metavar) : "";
		const char *open = parameter->required ? "" : "[", *close = parameter->required ? "" : "]";
		int length;

		if (parameter->option)
			length = snprintf(text + used, size - used, " %s--%s%s%s%s", open, parameter->option,
				metavar[0] ? " " : "", metavar, close);
		else
			length = snprintf(text + used, size - used, " %s%s%s", open, metavar, close);
		used += (size_t)length;
	}
}
