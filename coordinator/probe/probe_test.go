package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs fn on every connection of a free port.
func serve(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fn(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String()
}

// dead is an address where nobody listens.
func dead(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// frozen is a process that was stopped: its kernel accepts, and nobody answers.
func frozen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// look probes with this patience and returns the error's text, or "".
func look(t *testing.T, p Prober, patience time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Probe(ctx); err != nil {
		return err.Error()
	}
	return ""
}

const (
	patient   = 20 * time.Second
	impatient = 200 * time.Millisecond
)

func TestTCP(t *testing.T) {
	if got := look(t, TCP(serve(t, func(net.Conn) {})), patient); got != "" {
		t.Errorf("a living one: %s", got)
	}
	if got := look(t, TCP(dead(t)), patient); !strings.Contains(got, "refused") {
		t.Errorf("a dead one: %s", got)
	}
}

func TestHTTP(t *testing.T) {
	for _, c := range []struct {
		status int
		want   string
	}{
		{200, ""},
		{204, ""},
		{301, ""},
		{401, ""},
		{404, ""},
		{500, "answered 500 Internal Server Error"},
		{503, "answered 503 Service Unavailable"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(c.status)
		}))
		if got := look(t, HTTP(server.URL, NewClient(nil)), patient); got != c.want {
			t.Errorf("%d: %q, want %q", c.status, got, c.want)
		}
		server.Close()
	}
	if got := look(t, HTTP("http://"+dead(t), NewClient(nil)), patient); !strings.Contains(got, "refused") {
		t.Errorf("a dead one: %s", got)
	}
	if got := look(t, HTTP("http://"+frozen(t), NewClient(nil)), impatient); got != errNoAnswer.Error() {
		t.Errorf("a frozen one: %s", got)
	}
	half := serve(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal") //nolint:errcheck // the client hangs up
		io.Copy(io.Discard, c)                                                //nolint:errcheck // as above
	})
	if got := look(t, HTTP("http://"+half, NewClient(nil)), impatient); got == "" {
		t.Error("one that hangs in the middle of its answer passes")
	}
}

// reply is what a PostgreSQL server sends: a kind, a length, and the rest.
func reply(kind byte, body string) []byte {
	m := append([]byte{kind, 0, 0, 0, 0}, body...)
	binary.BigEndian.PutUint32(m[1:], uint32(4+len(body)))
	return m
}

func TestPostgres(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply []byte
		want  string
	}{
		{"asks for a password", reply('R', "\x00\x00\x00\x0a"), ""},
		{"refuses the user", reply('E', "SFATAL\x00C28000\x00Mno such role\x00\x00"), ""},
		{"is full", reply('E', "SFATAL\x00C53300\x00Msorry, too many clients already\x00\x00"), ""},
		{"starts up", reply('E', "SFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"), "the database system is starting up"},
		{"says nothing of why", reply('E', "C57P03\x00\x00"), "cannot take sessions now"},
		{"is something else", []byte("SSH-2.0-OpenSSH_9.6\r\n"), "does not speak PostgreSQL's protocol"},
		{"sends too much", []byte{'E', 0xff, 0, 0, 0}, "does not speak PostgreSQL's protocol"},
		{"hangs up", nil, "hung up without an answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := serve(t, func(conn net.Conn) {
				var size [4]byte
				if _, err := io.ReadFull(conn, size[:]); err != nil {
					return
				}
				message := make([]byte, binary.BigEndian.Uint32(size[:])-4)
				if _, err := io.ReadFull(conn, message); err != nil {
					return
				}
				if version := binary.BigEndian.Uint32(message); version != protocolVersion {
					t.Errorf("asked for protocol %x", version)
				}
				conn.Write(c.reply) //nolint:errcheck // the probe may have hung up
			})
			if got := look(t, Postgres(address), patient); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if got := look(t, Postgres(frozen(t)), impatient); got != errNoAnswer.Error() {
		t.Errorf("a frozen one: %s", got)
	}
}

func TestAProbeEndsWithItsContext(t *testing.T) {
	for name, p := range map[string]Prober{"postgres": Postgres(frozen(t)), "http": HTTP("http://"+frozen(t), NewClient(nil))} {
		why := errors.New("the coordinator stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Probe(ctx) }()
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzErrorFields(f *testing.F) {
	f.Add([]byte("SFATAL\x00C57P03\x00Mstarting up\x00\x00"))
	f.Add([]byte("C"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, message := errorFields(body); message == "" {
			t.Error("no message")
		}
	})
}
