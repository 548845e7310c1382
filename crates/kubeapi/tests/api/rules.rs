//! The shared rules, over the socket.
