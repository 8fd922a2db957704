package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"mahavishnu/fault"
)

// startHTTP serves /metrics and /health on node.listen.
func (a *App) startHTTP(ctx context.Context) error {
	if a.cfg.Node.Listen == "" {
		return nil
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", a.cfg.Node.Listen)
	if err != nil {
		return fault.New("listen on", a.cfg.Node.Listen, err, `free the port, or set another node.listen; "" serves nothing`)
	}
	mux := http.NewServeMux()
	if a.cfg.Backup.Monitoring.ServesMetrics() {
		mux.Handle("GET /metrics", a.metrics.Handler())
	}
	mux.HandleFunc("GET /health", a.health)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	a.httpAddr = listener.Addr()
	a.push("http", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err := server.Shutdown(ctx)
		if served := <-served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

// HTTPAddr is where metrics and health are served; nil when nowhere.
func (a *App) HTTPAddr() net.Addr { return a.httpAddr }

// health answers 200 while the process is connected to its queue, and an
// embedded one can store; 503 otherwise.
func (a *App) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if a.conn == nil || !a.conn.Connected() {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not connected to the queue\n"))
		return
	}
	if a.server != nil {
		if err := a.server.Health(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, "the queue: %v\n", err)
			return
		}
	}
	_, _ = w.Write([]byte("ok\n"))
}
