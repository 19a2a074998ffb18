//! The control plane: consensus, the REST API, inter-node gRPC and the snapshot publisher.
