/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TX_H
#define TX_H

#include "vring.h"

/** One packet is done, as by weir_vring_tx_done(); shown with what is published next. */
void tx_complete(struct weir_vring *vr, uint16_t id);

#endif
