// module-mark.js — SPDX-License-Identifier: LGPL-2.1-or-later
// Loaded before a worker is ready, it leaves a mark.

globalThis.mpMark = 'loaded';
