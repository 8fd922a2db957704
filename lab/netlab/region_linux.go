package netlab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mahavishnu/clock"
)

// wan is the name of a region's interface.
const wan = "wan0"

// region is a network namespace with one interface, and a thread that lives in it.
type region struct {
	tun       *os.File
	namespace *os.File
	jobs      chan func()   // run by the thread
	quit      chan struct{} // closed to end it
	ended     chan struct{} // closed when it has ended
}

// openRegion makes a namespace. Its thread is the parent of every process started in
// it: they are killed with the thread.
func openRegion(address netip.Addr) (*region, error) {
	r := &region{jobs: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{})}
	made := make(chan error, 1)
	go r.live(address, made)
	if err := <-made; err != nil {
		<-r.ended
		return nil, err
	}
	return r, nil
}

// live is the life of the region's thread. It is never unlocked: a thread that has
// changed its namespace must not serve others, and ends with its goroutine.
func (r *region) live(address netip.Addr, made chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The first thread of a process cannot end before the process does. It is
		// kept busy while another one is found.
		go r.live(address, made)
		<-r.ended
		runtime.UnlockOSThread()
		return
	}
	defer close(r.ended)
	err := r.make(address)
	made <- err
	if err != nil {
		return
	}
	for {
		select {
		case job := <-r.jobs:
			job()
		case <-r.quit:
			return
		}
	}
}

func (r *region) make(address netip.Addr) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("%w: a network namespace cannot be made: %w", ErrRefused, err)
	}
	namespace, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	tun, err := openTUN()
	if err != nil {
		return errors.Join(fmt.Errorf("%w: a TUN device cannot be made: %w", ErrRefused, err), namespace.Close())
	}
	r.tun, r.namespace = tun, namespace
	if err := configure(address); err != nil {
		return errors.Join(err, r.tun.Close(), r.namespace.Close())
	}
	return nil
}

func openTUN() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(wan)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// configure gives the interface its address and puts it and the loopback up. Every
// other region is reached directly.
func configure(address netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	set := func(name string, request uint, value func(*unix.Ifreq) error) {
		if err != nil {
			return
		}
		var q *unix.Ifreq
		if q, err = unix.NewIfreq(name); err == nil {
			err = value(q)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, request, q)
		}
		if err != nil {
			err = fmt.Errorf("configure interface %s: %w", name, err)
		}
	}
	up := func(q *unix.Ifreq) error { q.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }
	set("lo", unix.SIOCSIFFLAGS, up)
	set(wan, unix.SIOCSIFMTU, func(q *unix.Ifreq) error { q.SetUint32(mtu); return nil })
	set(wan, unix.SIOCSIFADDR, func(q *unix.Ifreq) error { return q.SetInet4Addr(address.AsSlice()) })
	set(wan, unix.SIOCSIFNETMASK, func(q *unix.Ifreq) error { return q.SetInet4Addr([]byte{255, 255, 0, 0}) })
	set(wan, unix.SIOCSIFFLAGS, up)
	return err
}

// read calls fn for every packet the region sends, until the region is closed.
func (r *region) read(fn func([]byte)) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.tun.Read(buffer)
		if err != nil {
			return
		}
		fn(buffer[:n])
	}
}

// write gives the region a packet. One that its kernel does not take is lost, as on
// any network.
func (r *region) write(packet []byte) {
	r.tun.Write(packet) //nolint:errcheck // see above
}

// start starts a process in the region.
func (r *region) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error, 1)
	select {
	case r.jobs <- func() { result <- cmd.Start() }:
		return <-result
	case <-r.ended:
		return os.ErrClosed
	}
}

// inside runs fn on a thread that is in the region while it runs. Sockets that fn
// makes stay the region's.
func (r *region) inside(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- func() error {
			home, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			defer home.Close()
			if err := unix.Setns(int(r.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			err = fn()
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
				return errors.Join(err, back) // the thread ends with this goroutine
			}
			runtime.UnlockOSThread()
			return err
		}()
	}()
	return <-result
}

// close ends the thread, with it every process that was started, what these started in turn, and
// the namespace.
func (r *region) close() error {
	close(r.quit)
	<-r.ended
	return errors.Join(r.sweep(), r.tun.Close(), r.namespace.Close())
}

// sweep kills whoever is in the namespace still, until nobody is: a process may have started another
// in the moment in which it was killed.
func (r *region) sweep() error {
	for {
		pids, err := r.inhabitants()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
		_ = clock.System().Sleep(context.Background(), time.Millisecond)
	}
}

// inhabitants are the processes in the namespace. One that has ended, and that its parent has not
// been told of, is in none.
func (r *region) inhabitants() ([]int, error) {
	var own unix.Stat_t
	if err := unix.Fstat(int(r.namespace.Fd()), &own); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue // threads of this process visit it
		}
		var its unix.Stat_t
		if unix.Stat(filepath.Join("/proc", e.Name(), "ns", "net"), &its) == nil && its.Ino == own.Ino && its.Dev == own.Dev {
			found = append(found, pid)
		}
	}
	return found, nil
}
