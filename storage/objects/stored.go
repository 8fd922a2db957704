package objects

import "sync"

// most bounds how many names are remembered, about 10 MB of them. What is forgotten
// costs a request when it is synced.
const most = 1 << 16

// Stored are the names that were put here and not synced since. An object store has
// made an object durable before it says that the put succeeded, so these need no look.
// The zero value is ready for use, by many goroutines.
type Stored struct {
	mu    sync.Mutex
	names map[string]struct{}
}

// Add notes a name that was put.
func (s *Stored) Add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil || len(s.names) >= most {
		s.names = map[string]struct{}{}
	}
	s.names[name] = struct{}{}
}

// Forget notes that a name was deleted.
func (s *Stored) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, name)
}

// Take forgets the names and returns those of which nothing is known.
func (s *Stored) Take(names []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unknown []string
	for _, name := range names {
		if _, ok := s.names[name]; !ok {
			unknown = append(unknown, name)
		}
		delete(s.names, name)
	}
	return unknown
}
