package repository

import "context"

// merge goes through the blobs of fragments in the order of their ids, and calls
// fn with all places of each, by fragment. Fragments are sorted, so nothing is
// looked up: that is ten times as fast as asking each fragment for every blob.
// The slice is fn's until it returns.
func merge(ctx context.Context, fragments []*fragment, fn func(places []place)) error {
	m := merger{fragments: fragments}
	for i, f := range fragments {
		if f.Len() > 0 {
			m.heap = append(m.heap, cursor{id: f.Entry(0).ID, at: place{i, 0}})
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	var places []place
	for n := 0; len(m.heap) > 0; n++ {
		if n%(1<<16) == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		id := m.heap[0].id
		places = places[:0]
		for len(m.heap) > 0 && m.heap[0].id == id {
			places = append(places, m.heap[0].at)
			m.next()
		}
		fn(places)
	}
	return nil
}

// merger is a heap of cursors, the least id first and of equals the least
// fragment.
type merger struct {
	fragments []*fragment
	heap      []cursor
}

// cursor is the next entry of a fragment.
type cursor struct {
	id ID
	at place
}

func (c *cursor) before(other *cursor) bool {
	order := c.id.Compare(other.id)
	return order < 0 || order == 0 && c.at.fragment < other.at.fragment
}

// next moves the first cursor on.
func (m *merger) next() {
	c := &m.heap[0]
	f := m.fragments[c.at.fragment]
	if c.at.entry++; c.at.entry < f.Len() {
		c.id = f.Entry(c.at.entry).ID
	} else {
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	m.down(0)
}

// down moves a cursor to its place among those below it.
func (m *merger) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(m.heap) && m.heap[child].before(&m.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}
