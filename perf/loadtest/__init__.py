# SPDX-License-Identifier: BSD-3-Clause
"""Load tests: a rig of sites and a generator, methods that search its limits, scenarios that say which."""
