// Package keeper sits beside one member of a service and sees to it that the member takes
// writes only while it is entitled to: while the keeper holds the lease of the service. There
// is one keeper for each member on a node, in the process that has the coordinator role; the
// coordinator that leads gives orders, and each keeper judges for itself whether to obey.
//
// # How to use it
//
//	spec := standby.Spec{Postgres: &postgres.Options{...}}
//	driver, err := spec.Open()
//	store, err := b.Store(messages.BucketLeases)        // b is the *bus.Bus
//	k, err := keeper.New(keeper.Options{
//		Service: "orders-db", Member: "pg-a", Driver: driver,
//		Leases: leases, Records: keeper.BusRecords(store), // leases acquire by b.Leases()
//		Timing: messages.TimingFor(2 * time.Second), StateFile: filepath.Join(dir, "orders-db.json"),
//		Mode: keeper.Synchronous,
//		Watchdog: func() (keeper.Watchdog, error) {
//			return keeper.StartWatchdog([]string{self, "keeper-watchdog"}, spec, os.Stderr)
//		},
//	})
//	go k.Run(ctx)                                       // until the process ends
//	answer, err := k.Do(ctx, keeper.Command{Verb: keeper.Promote, Epoch: leader})
//	status := k.Status()
//
// The program that the watchdog runs calls [Watch] with its standard input and standby.Spec.Open, and
// must not end on signals that are meant for the keeper: it ends by itself when the keeper does. self is os.Executable.
// Orders reach the keeper through whatever the process listens on; Epoch is that of the leader's own lease
// (bus.Leases, "coordinator"). The answer's Epoch is that of the tenure, which routers, DNS and repositories are told.
//
// # What it does by itself
//
//   - It never makes a member writable before it has won the lease by compare-and-set, claimed the
//     service's record under the lease's epoch, and written both to its own disk.
//   - When the lease is lost or cannot be renewed within RenewDeadline, it stops the member at
//     once (Fence), within StopTime. The lease is not given back before that has succeeded.
//   - Each time it wakes it compares the monotonic clock with the lease's deadline before it does anything else,
//     so that a process that was stopped for an hour (SIGSTOP, a frozen machine) begins with stopping the member.
//   - A primary that is gone, or gives no answer for Patience, is fenced and its lease given back, so
//     that a standby need not wait until it lapses. If nobody took over after Retake, it
//     comes back itself.
//   - A standby that is down is started again, as a standby. A member that takes writes
//     although the lease is not held is fenced. When the keeper starts and finds one, it may go on for RenewDeadline
//     while the keeper tries to win the lease.
//   - A member that does not answer when the keeper starts is stopped: it may hang in the middle of a tenure that is
//     over. It is waited for instead while the service has never had a primary, and this keeper knows of no tenure.
//   - When its context ends it stops a primary in an orderly way and gives the lease back. A standby goes on.
//   - A member that is gone counts as stopped, and so does one that was ended by a program because it hung. Neither was
//     told so: that is remembered, over a restart, and made good as soon as the member answers, before anything else.
//     A promotion of a later epoch, or following a primary, makes it needless.
//   - A member that could not be stopped keeps its lease, which a person's word alone ends ([Confirm]). One that could not be
//     stopped later, because a program or a file is missing for it, is not promoted (standby.Checker).
//
// # Orders
//
// A command that comes while something is done to the member waits for the end of that, unless it is Fence, which
// comes first always. A newer one for something else takes its place. Whoever gives up waiting has ordered nothing that
// was not begun: a promotion without the lease is over then. Watching the lease, so that it can be taken at once, is no promotion;
// only a command, or having been the last primary, makes a keeper take it.
//
// # When the keeper itself is killed
//
// A database whose keeper is dead goes on taking writes while others elect another primary. So a
// second process, the watchdog, is told after each renewal until when the member may go on.
// It stops the member when that moment passes (the keeper hangs or was stopped) and at once when the
// pipe from the keeper ends (the keeper was killed). A member that resists it tries to stop for ever, with pauses
// that grow from 50 ms to a second. No tenure begins without it. Both dying in the same moment, or
// a kernel that runs nobody, is what remains; only a hardware watchdog helps there, or Synchronous, in
// which such a primary cannot acknowledge anything that is lost. The same is true of a virtual machine
// that is paused as a whole together with its clock: its database may answer for some milliseconds before anybody has noticed.
//
// # Which member may be promoted
//
// The service's record, changed by compare-and-set only, says who was the last primary and who has everything that it
// acknowledged (Members). In the modes Synchronous and Strict a member is promoted only if it is among them, and it claims
// the service by writing in place of the very record that says so. The primary enters a
// standby after writes wait for it and it has caught up, and takes it out before they stop waiting. So
// whichever of the two writes comes first, the other fails, and no acknowledged write is lost, whatever clocks do. Patroni's
// /sync key is the model. In Asynchronous, what a standby had not received is lost; Command.Floor
// lets the coordinator refuse a member that is known to be behind. Command.Force overrides both, by a person's decision.
//
// # Epochs
//
// There are two: that of the coordinator's lease, on commands, and that of the service's lease, the tenure, handed to drivers. Of each
// the highest is remembered in StateFile, synced, before anything is done, and a lower one is refused with [ErrStale].
package keeper
