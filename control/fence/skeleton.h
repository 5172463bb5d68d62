/* SPDX-License-Identifier: BSD-3-Clause */
/* The generated skeleton, as a system header: the warnings this project turns on are not its author's. */
#ifndef CONTROL_FENCE_SKELETON_H
#define CONTROL_FENCE_SKELETON_H

#pragma GCC system_header

#include "ebpf/egress_fence.skel.h"

#endif
