package standbytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mahavishnu/coordinator/standby"
)

// Service is a member of a service that counts: each write is one more, and a standby
// shows what its primary has. It serves the endpoints that package standby describes.
type Service struct {
	Name string
	// Token, when set, must come as a bearer token.
	Token  string
	server *httptest.Server
	group  *Group

	mu       sync.Mutex
	down     bool
	fenced   bool // survives a crash, as the epoch does
	epoch    uint64
	writable bool
	follows  string
	writes   int
}

// Group are the members of a counting service.
type Group struct {
	mu      sync.Mutex
	members map[string]*Service
}

// NewGroup returns a service without members.
func NewGroup() *Group { return &Group{members: map[string]*Service{}} }

// Member starts a member; the first is the primary, the others follow it.
func (g *Group) Member(t testing.TB, name string) *Service {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &Service{Name: name, group: g, writable: len(g.members) == 0}
	for first, m := range g.members {
		if m.writable {
			s.follows = first
		}
	}
	g.members[name] = s
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// URL is the service's endpoint.
func (s *Service) URL() string { return s.server.URL }

// Member is this member for the suite, through a driver.
func (s *Service) Member(d standby.Driver) Member {
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(s.server.URL, "http://"))
	number, _ := strconv.Atoi(port)
	return Member{
		Driver: d, Peer: standby.Peer{Name: s.Name, Host: host, Port: number},
		Write: s.Write, Has: s.Has, Crash: s.Crash, Restart: s.Restart,
	}
}

// Write counts one more.
func (s *Service) Write() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || !s.writable {
		return errors.New("no writes here")
	}
	s.writes++
	return nil
}

// Has tells how many writes the member shows.
func (s *Service) Has() int {
	s.mu.Lock()
	whom := s.follows
	s.mu.Unlock()
	if whom != "" {
		s.group.mu.Lock()
		primary := s.group.members[whom]
		s.group.mu.Unlock()
		primary.mu.Lock()
		n := primary.writes
		primary.mu.Unlock()
		s.mu.Lock()
		s.writes = n
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Crash ends the member.
func (s *Service) Crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.writable = true, false
}

// Restart starts it. It takes no writes until it is promoted.
func (s *Service) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// ServeHTTP answers as package standby describes.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodGet {
		s.health(w)
		return
	}
	var o struct {
		Epoch   uint64 `json:"epoch"`
		Primary struct {
			Name    string `json:"name"`
			Address string `json:"address"`
		} `json:"primary"`
	}
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.Has() // a standby has what its primary had
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Epoch < s.epoch {
		http.Error(w, fmt.Sprintf("epoch %d after %d", o.Epoch, s.epoch), http.StatusConflict)
		return
	}
	s.epoch = o.Epoch
	switch r.URL.Path {
	case "/fence", "/demote":
		s.writable, s.fenced, s.follows = false, true, ""
	case "/promote":
		s.writable, s.fenced, s.down, s.follows = true, false, false, ""
	case "/rejoin":
		s.writable, s.fenced, s.down, s.follows = false, false, false, o.Primary.Name
	default:
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Service) health(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	role := "standby"
	switch {
	case s.writable:
		role = "primary"
	case s.fenced:
		role = "unknown"
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]any{"role": role, "writable": s.writable, "position": strconv.Itoa(s.writes), "streaming": s.follows != ""}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
