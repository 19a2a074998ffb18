//! The protocol between nodes and edges, without IO.
