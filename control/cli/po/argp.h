/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Never compiled. What argp itself has in help: it looks for translations in the program's catalogue, and the C
 * library's own is not installed everywhere.
 */
N_("Usage:")
N_("  or: ")
N_(" [OPTION...]")
N_("Try `%s --help' or `%s --usage' for more information.\n")
N_("Mandatory or optional arguments to long options are also mandatory or optional for any corresponding short "
   "options.")
N_("Give this help list")
N_("Give a short usage message")
N_("Print program version")
