// Command member is the smallest service that fails over: a member of kind http, which counts
// what is written to it. A real one would also copy its data from whom it follows.
//
//	go run ./docs/examples/member 127.0.0.1:8080 /var/lib/count/state.json
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
)

// state is what must survive a restart: the highest epoch that was seen, and that of the last
// order to take no more writes. Whether it takes writes is not in it, so that it starts without.
type state struct{ Epoch, Fenced uint64 }

type member struct {
	mu       sync.Mutex // an order waits for the write under way, and no write begins during one
	file     string
	state    state
	writable bool
	follows  string
	count    int
}

func main() {
	m := &member{file: os.Args[2]}
	if text, err := os.ReadFile(m.file); err == nil {
		if err := json.Unmarshal(text, &m.state); err != nil {
			panic(err) // without its epoch it would obey whoever comes late
		}
	}
	http.HandleFunc("GET /health", m.health)
	http.HandleFunc("POST /write", m.write)
	for _, verb := range []string{"fence", "promote", "demote", "rejoin"} {
		http.HandleFunc("POST /"+verb, func(w http.ResponseWriter, r *http.Request) { m.obey(w, r, verb) })
	}
	panic(http.ListenAndServe(os.Args[1], nil))
}

func (m *member) health(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	role := "standby"
	if m.writable {
		role = "primary"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"role": role, "writable": m.writable, "position": strconv.Itoa(m.count), "streaming": m.follows != ""})
}

func (m *member) obey(w http.ResponseWriter, r *http.Request, verb string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var order struct {
		Epoch   uint64
		Primary struct{ Name, Address string }
	}
	next := m.state
	switch err := json.NewDecoder(r.Body).Decode(&order); {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case order.Epoch < next.Epoch, verb == "promote" && order.Epoch == next.Fenced:
		http.Error(w, fmt.Sprintf("epoch %d is over", order.Epoch), http.StatusConflict)
		return
	case verb == "fence" || verb == "demote":
		m.writable = false // first of all, whether it can be remembered or not
		next.Fenced = order.Epoch
	}
	next.Epoch = order.Epoch
	text, err := json.Marshal(next)
	if err == nil {
		err = os.WriteFile(m.file+".new", text, 0o600) // one that must survive a power cut syncs it, too
	}
	if err == nil {
		err = os.Rename(m.file+".new", m.file)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	m.state, m.writable, m.follows = next, verb == "promote", order.Primary.Name
}

func (m *member) write(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.writable {
		http.Error(w, "not here", http.StatusServiceUnavailable)
		return
	}
	m.count++
	fmt.Fprintln(w, m.count)
}
