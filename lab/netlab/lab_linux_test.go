package netlab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mahavishnu/usertest"
)

// deadEnv makes the test binary the process that dies with a lab.
const deadEnv = "MAHAVISHNU_NETLAB_DIES"

func TestMain(m *testing.M) {
	if os.Getenv(deadEnv) != "" {
		die()
		return
	}
	os.Exit(m.Run())
}

func newLab(t *testing.T, regions ...string) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	lab, err := New(Options{Regions: regions, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// echo answers every line within a region.
func echo(t *testing.T, lab *Lab, region string) string {
	t.Helper()
	address := net.JoinHostPort(lab.Addr(region).String(), "7")
	l, err := lab.Listen(t.Context(), region, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { io.Copy(c, c); c.Close() })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return address
}

type line struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, lab *Lab, from, address string) (*line, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	c, err := lab.Dial(ctx, from, "tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	return &line{t, c, bufio.NewReader(c)}, nil
}

func mustDial(t *testing.T, lab *Lab, from, address string) *line {
	t.Helper()
	l, err := dial(t, lab, from, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// says sends a word and waits for it to come back.
func (l *line) says(word string, within time.Duration) (time.Duration, error) {
	l.SetDeadline(time.Now().Add(within)) //nolint:errcheck // reading tells
	began := time.Now()
	if _, err := io.WriteString(l, word+"\n"); err != nil {
		return 0, err
	}
	got, err := l.r.ReadString('\n')
	if err == nil && got != word+"\n" {
		err = fmt.Errorf("%q came back as %q", word, got)
	}
	return time.Since(began), err
}

func (l *line) mustSay(word string) time.Duration {
	l.t.Helper()
	took, err := l.says(word, 20*time.Second)
	if err != nil {
		l.t.Fatal(err)
	}
	return took
}

func TestRegionsReachEachOther(t *testing.T) {
	lab := newLab(t, "a", "b", "c")
	for _, to := range lab.Regions() {
		address := echo(t, lab, to)
		for _, from := range lab.Regions() {
			mustDial(t, lab, from, address).mustSay(from + " to " + to)
		}
	}
	// Nobody outside reaches them, and they reach nobody.
	if c, err := net.DialTimeout("tcp", lab.Addr("a").String()+":7", 200*time.Millisecond); err == nil {
		defer c.Close() // some networks answer for everybody, but not like this
		if _, err := (&line{t, c, bufio.NewReader(c)}).says("anybody", 200*time.Millisecond); err == nil {
			t.Error("a region is reached from outside")
		}
	}
	if c, err := dial(t, lab, "a", "192.0.2.1:80"); err == nil {
		t.Errorf("a region reaches %v outside", c.RemoteAddr())
	}
}

func TestCutAndHeal(t *testing.T) {
	lab := newLab(t, "a", "b", "c")
	address := echo(t, lab, "b")
	from, other := mustDial(t, lab, "a", address), mustDial(t, lab, "c", address)
	from.mustSay("before")
	lab.Isolate("a", Link{Cut: true})
	if _, err := dial(t, lab, "a", address); err == nil {
		t.Error("a connection through a cut link")
	}
	if c := lab.Count("a", "b"); c.Lost == 0 {
		t.Errorf("nothing was lost: %+v", c)
	}
	other.mustSay("the others go on")
	if _, err := from.says("into the void", 300*time.Millisecond); err == nil {
		t.Error("an answer through a cut link")
	}
	lab.Heal()
	from.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // reading tells
	if got, err := from.r.ReadString('\n'); err != nil || got != "into the void\n" {
		t.Errorf("after the link was healed: %q, %v", got, err)
	}
	from.mustSay("after")
}

// TestOneWay lets b hear a, and not the other way round.
func TestOneWay(t *testing.T) {
	lab := newLab(t, "a", "b")
	in, err := lab.Listen(t.Context(), "b", "tcp", lab.Addr("b").String()+":9")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	from := mustDial(t, lab, "a", in.Addr().String())
	heard, err := in.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	lab.Set("b", "a", Link{Cut: true})
	if _, err := from.says("can you hear me", 300*time.Millisecond); err == nil {
		t.Error("an answer through a cut link")
	}
	heard.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // reading tells
	if got, err := bufio.NewReader(heard).ReadString('\n'); err != nil || got != "can you hear me\n" {
		t.Errorf("b heard %q: %v", got, err)
	}
}

func TestSlowAndLossy(t *testing.T) {
	lab := newLab(t, "a", "b")
	address := echo(t, lab, "b")
	quick := mustDial(t, lab, "a", address)
	quick.mustSay("warm")
	lab.Both("a", "b", Link{Delay: 50 * time.Millisecond})
	if took := quick.mustSay("slow"); took < 100*time.Millisecond {
		t.Errorf("there and back took %v", took)
	}
	lab.Both("a", "b", Link{Loss: 0.2})
	for i := range 30 {
		quick.mustSay(strconv.Itoa(i)) // TCP mends it
	}
	if c := lab.Count("a", "b"); c.Lost == 0 {
		t.Errorf("nothing was lost: %+v", c)
	}
}

func TestFlap(t *testing.T) {
	lab := newLab(t, "a", "b")
	address := echo(t, lab, "b")
	l := mustDial(t, lab, "a", address)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { lab.Flap(ctx, "a", "b", Link{Cut: true}, 100*time.Millisecond); close(done) }()
	for lab.Count("a", "b").Lost == 0 {
		l.mustSay("on and off")
	}
	cancel()
	<-done
	l.mustSay("on")
}

func TestCommandsRunInTheirRegion(t *testing.T) {
	lab := newLab(t, "a", "b")
	out, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat", "/proc/net/fib_trie")
	cmd.Stdout = out
	if err := lab.Start("b", cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil || !strings.Contains(string(text), lab.Addr("b").String()) || strings.Contains(string(text), lab.Addr("a").String()) {
		t.Errorf("the command saw %v\n%s", err, text)
	}
	long := exec.Command("sleep", "1000")
	if err := lab.Start("a", long); err != nil {
		t.Fatal(err)
	}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", long.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	// One that outlives whoever started it.
	parent := exec.Command("sh", "-c", "sleep 1000 & exit")
	if err := lab.Start("a", parent); err != nil {
		t.Fatal(err)
	}
	if err := parent.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Error(err)
	}
	if err := long.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the command ended with %v", err)
	}
	if lives(namespace) {
		t.Error("what a command started lives on in a lab that is gone")
	}
	if err := lab.Start("a", exec.Command("true")); err == nil {
		t.Error("a command was started in a lab that is gone")
	}
}

func TestForward(t *testing.T) {
	lab := newLab(t, "a", "b")
	address := echo(t, lab, "b")
	near, err := lab.Forward("b", address)
	if err != nil {
		t.Fatal(err)
	}
	lab.Isolate("b", Link{Cut: true}) // the client is in the region
	c, err := net.Dial("tcp", near)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(&line{t, c, bufio.NewReader(c)}).mustSay("from outside")
}

// die makes a lab with a process in it, says which, and waits to be killed.
func die() {
	lab, err := New(Options{Regions: []string{"a"}})
	if err == nil {
		cmd := exec.Command("sleep", "1000")
		if err = lab.Start("a", cmd); err == nil {
			namespace, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
			fmt.Println(cmd.Process.Pid, namespace)
		}
	}
	if err != nil {
		fmt.Println(err)
	}
	bufio.NewReader(os.Stdin).ReadByte()
}

// TestNothingIsLeftWhenTheTestDies kills a process with a lab: what ran in the lab is
// gone, and so is the namespace.
func TestNothingIsLeftWhenTheTestDies(t *testing.T) {
	newLab(t, "a") // who may not make one cannot find out
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), deadEnv+"=1")
	if _, err := victim.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	var pid int
	var namespace string
	if err == nil {
		_, err = fmt.Sscan(said, &pid, &namespace)
	}
	if err != nil || !lives(namespace) {
		t.Fatalf("it said %q: %v", said, err)
	}
	victim.Process.Kill() //nolint:errcheck // seen below
	victim.Wait()         //nolint:errcheck // killed is an error
	for deadline := time.Now().Add(20 * time.Second); lives(namespace) || syscall.Kill(pid, 0) == nil && !zombie(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d or %s lives on", pid, namespace)
		}
	}
}

// lives reports whether any process is in a namespace.
func lives(namespace string) bool {
	all, _ := filepath.Glob("/proc/[0-9]*/task/*/ns/net")
	for _, path := range all {
		if at, err := os.Readlink(path); err == nil && at == namespace {
			return true
		}
	}
	return false
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestRefusedWithTheReason(t *testing.T) {
	usertest.Run(t, func(t *testing.T) {
		lab, err := New(Options{Regions: []string{"a"}})
		if err == nil {
			lab.Close() //nolint:errcheck // it should not be
			t.Fatal("a lab without privilege")
		}
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "operation not permitted") {
			t.Errorf("refused with %v", err)
		}
	})
}

func TestRegionsAreChecked(t *testing.T) {
	for _, regions := range [][]string{nil, {"a", "a"}, {""}, strings.Split("a b c d e f g h i j k l m", " ")} {
		if _, err := New(Options{Regions: regions}); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%v: %v", regions, err)
		}
	}
}
