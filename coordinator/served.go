package coordinator

import "time"

// watchServed notes since when nobody is known to take the writes of a service: no keeper
// that is heard says that its member holds the lease and is writable. Services none of
// whose members has a keeper are left out, for nobody could say so.
func (v *view) watchServed(now time.Time, stretch float64) {
	kept, served := map[string]bool{}, map[string]bool{}
	for _, m := range v.members {
		if m.Node == "" {
			continue
		}
		kept[m.service] = true
		if m.keeper == nil || !m.keeper.Holds || !m.keeper.Writable {
			continue
		}
		if said, _ := m.testimony(v, now, stretch); said != silent {
			served[m.service] = true
		}
	}
	for service := range kept {
		switch _, known := v.unserved[service]; {
		case served[service]:
			delete(v.unserved, service)
		case !known:
			v.unserved[service] = now
		}
	}
}

// unservedFor is for how long nobody was known to take the writes of a service, in
// milliseconds; 0 is one that is served.
func (v *view) unservedFor(service string, now time.Time) int64 {
	since, ok := v.unserved[service]
	if !ok {
		return 0
	}
	return max(now.Sub(since).Milliseconds(), 1)
}
