//! From files to lines: which file is which, where reading goes on, and what was lost.
