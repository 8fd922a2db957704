package natsserver_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/natsserver"
	"mahavishnu/messages/natsserver/natstest"
)

func TestMain(m *testing.M) {
	natstest.Main()
	goleak.VerifyTestMain(m)
}

func TestListensOnLoopbackAndKeepsStreams(t *testing.T) {
	dir := t.TempDir()
	s := natstest.StartIn(t, dir, -1)
	if !strings.HasPrefix(s.ClientURL(), "nats://127.0.0.1:") {
		t.Fatalf("listens on %s, want the loopback address", s.ClientURL())
	}
	nc, js := client(t, s.ClientURL())
	if got := nc.MaxPayload(); got != messages.ServerMaxPayload {
		t.Errorf("max payload %d, want %d", got, messages.ServerMaxPayload)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}

	_, js = client(t, natstest.StartIn(t, dir, -1).ClientURL())
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), "s")
	if err != nil || string(msg.Data) != "kept" {
		t.Fatalf("after a restart the stream holds %v, %v", msg, err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	natstest.StartIn(t, dir, -1)
	_, err := natsserver.Start(natsserver.Options{StoreDir: dir, Port: -1})
	if !errors.Is(err, natsserver.ErrInUse) {
		t.Fatalf("a second server over the same directory: %v, want ErrInUse", err)
	}
	if !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("%q does not name the process", err)
	}
	if len(fault.Hints(err)) == 0 {
		t.Error("the error gives no hint")
	}
}

func TestStartErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		o    natsserver.Options
		want string
	}{
		"no directory":         {natsserver.Options{}, "no store directory"},
		"directory is a file":  {natsserver.Options{StoreDir: file}, "not a directory"},
		"directory below file": {natsserver.Options{StoreDir: filepath.Join(file, "x")}, "not a directory"},
		"port taken":           {natsserver.Options{StoreDir: t.TempDir(), Port: taken.Addr().(*net.TCPAddr).Port}, "address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := natsserver.Start(c.o)
			if err == nil {
				s.Shutdown()
				t.Fatal("the server started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not tell %q", err, c.want)
			}
		})
	}
}

func TestCredentialsAreDemanded(t *testing.T) {
	s, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Port: -1, User: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	if nc, err := nats.Connect(s.ClientURL()); err == nil {
		nc.Close()
		t.Error("a client without credentials was let in")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("u", "p"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Log(_ natsserver.Level, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func TestLogIsHeard(t *testing.T) {
	heard := &lines{}
	s, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Port: -1, Log: heard})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(); err != nil {
		t.Fatalf("second Shutdown: %v", err)
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if !strings.Contains(strings.Join(heard.all, "\n"), "Server is ready") {
		t.Errorf("the log does not tell that the server is ready: %q", heard.all)
	}
}

func TestClusterOfProcessesSurvivesKill(t *testing.T) {
	c := natstest.StartProcesses(t, 3)
	_, js := client(t, c.URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("1")); err != nil {
		t.Fatal(err)
	}
	old := c.StreamLeader("S")
	c.Kill(old)
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := js.Publish(t.Context(), "s", []byte("2"), jetstream.WithMsgID("2"))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no publication in a minute after the leader died: %v", err)
		}
	}
	if now := c.StreamLeader("S"); now == old {
		t.Errorf("the dead server %s still leads", old)
	}
	c.Restart(old)
	c.Settle()
}

func BenchmarkPublish(b *testing.B) {
	for name, interval := range map[string]time.Duration{"always": natsserver.SyncAlways, "second": time.Second} {
		b.Run(name, func(b *testing.B) {
			s, err := natsserver.Start(natsserver.Options{StoreDir: b.TempDir(), Port: -1, SyncInterval: interval})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Shutdown()
			_, js := client(b, s.ClientURL())
			if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
				b.Fatal(err)
			}
			payload := make([]byte, 512)
			for b.Loop() {
				if _, err := js.Publish(b.Context(), "s", payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func client(t testing.TB, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}
