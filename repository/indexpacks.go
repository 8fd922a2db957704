package repository

// IndexPacks returns which packs each part of the index names: names of objects by that of
// the part. Parts that others stand for are left out.
func (r *Repository) IndexPacks() map[string][]string {
	all := map[string][]string{}
	for _, f := range r.index.fragments() {
		if f.name == "" {
			continue
		}
		packs := make([]string, 0, f.Packs())
		for n := range uint32(f.Packs()) {
			p, _ := f.Pack(n)
			packs = append(packs, p.ID.Object())
		}
		all[f.name] = packs
	}
	return all
}
