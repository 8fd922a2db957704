package lease

import (
	"context"
	"encoding/binary"

	"mahavishnu/storage"
)

// beat shows signs of life until the session is left, and looks each time
// whether it was fenced. A beat that cannot be stored is no failure of the
// session: at worst somebody takes it for dead, and the ticket decides.
func (l *Lease) beat(ctx context.Context) {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.beating.Go(func() {
		every := l.o.TTL / 3
		timer := l.o.Clock.NewTimer(every)
		defer timer.Stop()
		for n := uint64(1); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-timer.C():
			}
			if l.o.Keeper == nil {
				text := binary.LittleEndian.AppendUint64(nil, n)
				_ = l.s.put(ctx, l.id.object()+beatSuffix, text, storage.PutOptions{})
			}
			_ = l.Check(ctx) // tells Lost; anything else is asked again next time
			timer.Reset(every)
		}
	})
}
