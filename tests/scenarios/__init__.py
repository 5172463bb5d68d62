# SPDX-License-Identifier: BSD-3-Clause
"""The scenarios of tests/soak, one file each."""
