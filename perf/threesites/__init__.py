# SPDX-License-Identifier: BSD-3-Clause
"""Three sites on one machine, in network namespaces: the parts that `perf/lab` puts together."""
