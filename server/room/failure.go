package room

// Failer is a store that a fault of its disk can end while the process goes on.
type Failer interface {
	Store
	// Failed is closed when the store can no longer keep what it is given. From then on each append is
	// refused as `unavailable`, or its outcome is unknown; reads may go on. Only opening it again helps,
	// which is for the process to be started again.
	Failed() <-chan struct{}
}
