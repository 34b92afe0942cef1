import CLinux
import Glibc

/// A thread of its own for code that blocks: C calls never run on the cooperative pool, which is as wide as the CPUs.
public struct DedicatedThread: ~Copyable, Sendable {
    private let handle: pthread_t

    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - name: shown by `ps -T`, at most 15 bytes (pthread_setname_np(3)).
    ///   - stackSize: bytes, at least 16 KiB; memory is used only as far as the stack grows.
    /// - Throws: ``LinuxError`` `EAGAIN` when the pids limit is reached.
    public init(name: String, stackSize: Int = 512 << 10, _ body: @escaping @Sendable () -> Void) throws(LinuxError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackSize)
        let box = Unmanaged.passRetained(Body(name: name, run: body))
        var handle = pthread_t()
        let result = pthread_create(
            &handle, &attributes,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                _ = clinux_set_thread_name(String(body.name.prefix(15)))
                body.run()
                return nil
            }, box.toOpaque())
        guard result == 0 else {
            box.release()
            throw LinuxError("start thread", name, code: result)
        }
        self.handle = handle
    }

    /// Waits for the thread to end.
    public consuming func join() {
        pthread_join(handle, nil)
        discard self
    }

    deinit { pthread_detach(handle) }

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void

        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
}
