//go:build !mutant

package hub

// The hooks of the mutant unbounded_queue (mutant_queue_on.go): here they do nothing, and the compiler removes them.

const mutateEnqueue = false

func (c *Conn) mutateQueue() {}
