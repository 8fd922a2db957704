// Package netlab puts real processes into regions whose links a test cuts, slows,
// loses, jams and heals.
//
// # How it is made
//
// Each region is a network namespace with one interface, a TUN device whose other
// end is a file in this process. What a region sends is a packet read from that
// file; the lab decides by sender and receiver what becomes of it, and writes it to
// the other region's file. So every fault is this program's doing, in each direction
// apart, and counted ([Lab.Count]): a test can tell that a fault bit. The kernel needs
// namespaces and TUN, and neither nftables nor netem, which many lack.
//
// Nothing has a name in the system: no namespace is mounted, no interface is made
// outside the regions. Namespaces live as long as this process holds them or processes
// run in them. [Lab.Close] ends all of those; the kernel kills those that were started by
// [Lab.Start] also when this process dies, however it dies. What they started themselves, and
// that outlives them, lives on then until it ends by itself.
//
// # Use
//
//	lab, err := netlab.New(netlab.Options{Regions: []string{"a", "b", "c"}})
//	if errors.Is(err, netlab.ErrRefused) { ... } // the system does not allow it; err says why
//	defer lab.Close()
//	err = lab.Start("a", exec.Command("server", "--listen", lab.Addr("a").String()+":80"))
//	lab.Both("a", "b", netlab.Link{Delay: 40 * time.Millisecond})
//	lab.Isolate("a", netlab.Link{Cut: true})   // alive, and cut off
//	lab.Set("b", "a", netlab.Link{})           // b is heard in a, and a is not in b
//	lab.Heal()
//
// A test reaches into a region with [Lab.Dial] and [Lab.Listen], and gives libraries
// that dial by themselves an address of [Lab.Forward].
//
// Addresses are 10.199.N.1 with N from 1 in the order of the regions. Only IPv4 goes
// between regions.
package netlab
