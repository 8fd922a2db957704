// Package bus carries Mahavishnu's messages over NATS JetStream. It and its
// neighbour natsserver are the only importers of the NATS libraries.
//
// # Use
//
// [Connect] opens a connection that reconnects for ever. One process of a
// system calls [Provision], which creates streams, consumers and buckets;
// everything else calls [Bind], which creates nothing, so that a worker needs
// no right to create or delete, and a mistyped setting in one worker cannot
// destroy the state of a consumer all share.
//
// # Rules
//
//   - Writes that decide are compare-and-set, and what decides is the server's
//     acknowledgement, never a read: a read may come from a server that lost
//     its place an hour ago. [ErrConflict] and [ErrExists] are answers.
//   - A write whose acknowledgement was lost is looked at again before it is
//     reported as a conflict: if what is stored is what was sent, it worked.
//   - Calls that need the server repeat themselves while it elects a leader or
//     restarts, for at most Options.Patience or until the context ends.
//   - Acknowledging, extending and handing back are requests: they return when
//     the server has answered, and fail when it does not.
//   - Callbacks are never called concurrently with themselves unless said.
package bus
