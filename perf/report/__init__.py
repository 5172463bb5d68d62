# SPDX-License-Identifier: BSD-3-Clause
"""The page of a load test: charts and tables in one HTML file that needs nothing beside it."""
