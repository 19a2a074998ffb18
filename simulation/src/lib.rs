//! A turmoil world that runs the real node and edge under faults, and the checks on what it saw.
