//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// act is something that only the holder of a tenure does: it wins the lease, or its member
// accepts a write.
type act struct {
	what   string
	member string
	epoch  uint64
}

// tenure is the highest that was acted under, and by whom.
type tenure struct {
	epoch  uint64
	member string
}

// oneAtATime judges what is done under tenures: once something was done under one,
// nothing is done under a lower one, nor by anybody else under the same.
func oneAtATime() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return tenure{} },
		Step: func(state, input, _ any) (bool, any) {
			s, in := state.(tenure), input.(act)
			if in.epoch < s.epoch || in.epoch == s.epoch && in.member != s.member {
				return false, s
			}
			return true, tenure{in.epoch, in.member}
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
	}
}

// told is an order with an epoch; what takes orders refuses one below the highest.
type told struct {
	verb    string
	epoch   uint64
	refused bool
}

// neverLower judges what took orders: none below the highest that it had seen.
func neverLower() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return uint64(0) },
		Step: func(state, input, _ any) (bool, any) {
			s, in := state.(uint64), input.(told)
			if in.refused {
				return in.epoch < s, s
			}
			return in.epoch >= s, max(s, in.epoch)
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
	}
}

// history is all that was seen of one world.
type history struct {
	mu sync.Mutex
	// acks are writes that a client had an answer to, by number.
	acks map[uint64]porcupine.Operation
	// wins are the tenures of the service, by epoch, as they were first seen in the queue.
	wins map[uint64]porcupine.Operation
	// leads are those of coordinators, and journal the epochs under which records of plans were
	// written, each in the order of the queue.
	leads   map[uint64]string
	journal map[string][]uint64
	last    int64 // when a write was last begun that was answered
	holder  string
	wrongs  []string
}

func newHistory() *history {
	return &history{
		acks: map[uint64]porcupine.Operation{}, wins: map[uint64]porcupine.Operation{},
		leads: map[uint64]string{}, journal: map[string][]uint64{},
	}
}

func (h *history) wrong(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrongs = append(h.wrongs, fmt.Sprintf(format, args...))
}

// ack notes a write that was answered.
func (h *history) ack(id uint64, member string, epoch uint64, from, to int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acks[id] = porcupine.Operation{Input: act{"write", member, epoch}, Call: from, Return: to}
	h.last = max(h.last, from)
}

// writtenSince tells whether a write was begun after a moment and answered.
func (h *history) writtenSince(moment int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last > moment
}

// saw notes a change in the bucket of leases.
func (h *history) saw(v bus.Value) error {
	seen := now()
	if v.Deleted {
		return nil
	}
	switch {
	case v.Key == messages.ServiceLease(serviceName), v.Key == messages.LeaseCoordinator:
		lease, err := messages.DecodeLease(v.Data)
		if err != nil {
			return err
		}
		if lease.Epoch == 0 {
			lease.Epoch = v.Revision // the write that won it
		}
		h.won(v, lease, seen)
	case strings.HasPrefix(v.Key, "plan.execution."), v.Key == "plan.board":
		var record struct {
			Epoch uint64 `json:"epoch"`
		}
		if err := json.Unmarshal(v.Data, &record); err != nil {
			return err
		}
		h.mu.Lock()
		h.journal[v.Key] = append(h.journal[v.Key], record.Epoch)
		h.mu.Unlock()
	}
	return nil
}

func (h *history) won(v bus.Value, lease messages.LeaseValue, seen int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v.Key == messages.LeaseCoordinator {
		if before, ok := h.leads[lease.Epoch]; ok && lease.Holder != "" && before != lease.Holder {
			h.wrongs = append(h.wrongs, fmt.Sprintf("%s and %s lead under epoch %d", before, lease.Holder, lease.Epoch))
		}
		if lease.Holder != "" {
			h.leads[lease.Epoch] = lease.Holder
		}
		return
	}
	h.holder = lease.Holder
	if _, ok := h.wins[lease.Epoch]; ok || lease.Holder == "" {
		return
	}
	// It was won before it was seen; when, the server's clock tells well enough.
	ago := min(time.Since(v.Time), time.Minute).Nanoseconds()
	h.wins[lease.Epoch] = porcupine.Operation{
		Input: act{"win", lease.Holder, lease.Epoch}, Call: seen - max(ago, 0), Return: seen,
	}
}

// collected are the acts of the world: what clients had answers to, what members accepted without
// one, and who won the lease.
func (h *history) collected(agents []*agent) ([]porcupine.Operation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []porcupine.Operation
	for _, a := range agents {
		data, err := os.ReadFile(a.log)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		for lines.Scan() {
			var w accepted
			if json.Unmarshal(lines.Bytes(), &w) != nil {
				continue // killed in the middle of it
			}
			if _, answered := h.acks[w.ID]; !answered {
				all = append(all, porcupine.Operation{Input: act{"unanswered write", a.name, w.Epoch}, Call: w.From, Return: w.To})
			}
		}
	}
	for _, o := range h.acks {
		all = append(all, o)
	}
	for _, o := range h.wins {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	return all, nil
}

// patience bounds one judgement.
const patience = 2 * time.Minute

// judgeActs says what is wrong with acts under tenures, "" when nothing is.
func judgeActs(all []porcupine.Operation) string {
	result := porcupine.CheckOperationsTimeout(oneAtATime(), all, patience)
	if result == porcupine.Ok {
		return ""
	}
	// The first that comes after a higher one has ended shows it best.
	var highest porcupine.Operation
	byEnd := slices.SortedFunc(slices.Values(all), func(a, b porcupine.Operation) int { return int(a.Return - b.Return) })
	for _, late := range all {
		for _, early := range byEnd {
			if early.Return >= late.Call {
				break
			}
			if early.Input.(act).epoch > late.Input.(act).epoch {
				highest = early
			}
		}
		if highest.Input != nil {
			return fmt.Sprintf("the history is %s: %+v at %d, after %+v had ended at %d", result, late.Input, late.Call, highest.Input, highest.Return)
		}
	}
	return fmt.Sprintf("the history of %d acts is %s", len(all), result)
}

// judgeOrders says what is wrong with how epochs of orders were taken.
func judgeOrders(who string, all []porcupine.Operation) string {
	if result := porcupine.CheckOperationsTimeout(neverLower(), all, patience); result != porcupine.Ok {
		return fmt.Sprintf("what %s was told is %s: %+v", who, result, all)
	}
	return ""
}

// judgeJournal says what is wrong with the epochs under which plans were written.
func (h *history) judgeJournal() (wrongs []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, epochs := range h.journal {
		if !slices.IsSorted(epochs) {
			wrongs = append(wrongs, fmt.Sprintf("%s was written under the epochs %v", key, epochs))
		}
	}
	return wrongs
}
