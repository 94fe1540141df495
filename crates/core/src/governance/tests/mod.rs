//! Tables and properties of the transitions.
