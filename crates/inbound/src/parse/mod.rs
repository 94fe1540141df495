//! From lines to failures: records of JSON and plain text, and stacks that span lines.
