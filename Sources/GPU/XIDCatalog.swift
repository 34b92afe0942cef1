/// What an XID means and what helps. One line a code; the words are ours, the judgement is NVIDIA's XID catalogue (A100 and
/// newer, docs.nvidia.com/deploy/xid-errors, read November 2026).
///
/// A code that is not here is a fault of unknown weight, never "all is well".
public struct XIDMeaning: Sendable, Equatable {
    /// Who has to do something.
    public enum Weight: String, Sendable, Codable {
        /// Nobody: it only accompanies something else, or was repaired.
        case information
        /// The program on the GPU; the GPU stays healthy.
        case application
        /// The GPU must be reset, which a pod cannot do itself.
        case reset
        /// The node or the board: move away.
        case hardware
        /// Not known.
        case unknown
    }

    /// The XID.
    public let xid: UInt64
    /// Who has to do something.
    public let weight: Weight
    /// What happened.
    public let meaning: String
    /// What helps.
    public let advice: String

    /// The meaning of `xid`.
    public static func of(_ xid: UInt64) -> XIDMeaning {
        guard let entry = entries[xid] else {
            return XIDMeaning(
                xid: xid, weight: .unknown, meaning: "not in this agent's list",
                advice: "Look it up in NVIDIA's XID catalogue.")
        }
        return XIDMeaning(xid: xid, weight: entry.0, meaning: entry.1, advice: entry.2 ?? advice(entry.0))
    }

    /// Every code that is known.
    public static var all: [XIDMeaning] { entries.keys.sorted().map(of) }

    private static func advice(_ weight: Weight) -> String {
        switch weight {
        case .information: "Nothing to do."
        case .application: "Restart the program; if it comes again, run it under compute-sanitizer."
        case .reset: "Save work, end the programs on this GPU and ask the platform for a reset or another node."
        case .hardware: "Save work and move to another node; report the GPU to the platform."
        case .unknown: "Look it up in NVIDIA's XID catalogue."
        }
    }

    private typealias Entry = (Weight, String, String?)

    private static let entries: [UInt64: Entry] = [
        8: (.application, "the GPU stopped processing", nil),
        11: (.application, "invalid or corrupted push buffer", nil),
        13: (.application, "graphics engine exception, mostly an access out of bounds or an illegal instruction", nil),
        25: (.application, "invalid or illegal push buffer", nil),
        31: (.application, "GPU memory page fault, mostly an illegal address", nil),
        32: (.application, "invalid or corrupted push buffer; the PCIe link may be bad", nil),
        37: (.information, "driver firmware error", nil),
        38: (.information, "driver firmware watchdog", nil),
        39: (.application, "copy engine exception", nil),
        40: (.application, "copy engine exception", nil),
        41: (.application, "copy engine exception", nil),
        43: (.application, "the program hit a fault and was ended", nil),
        44: (.information, "fault during a context switch", nil),
        45: (.information, "a program was ended and cleaned up after (Ctrl-C, kill, or another XID)", nil),
        46: (.reset, "the GPU stopped processing", nil),
        48: (.reset, "uncorrectable (double bit) ECC error", nil),
        54: (.hardware, "auxiliary power is not connected", nil),
        60: (.application, "video processor exception", nil),
        61: (.reset, "internal microcontroller breakpoint", nil),
        62: (.reset, "internal microcontroller halt", nil),
        63: (
            .information, "memory row remapped or page retired",
            "Restart the program when convenient; the repair takes effect with the next reset."
        ),
        64: (.reset, "row remapping or page retirement failed", nil),
        66: (.information, "illegal access by the driver", nil),
        67: (.information, "illegal access by the driver", nil),
        68: (.application, "video decoder exception", nil),
        69: (.application, "graphics engine class error", nil),
        70: (.application, "copy engine error", nil),
        71: (.application, "copy engine error", nil),
        72: (.application, "copy engine error", nil),
        74: (.reset, "NVLink error: the link, or the GPU or switch at its other end", nil),
        78: (.hardware, "the vGPU did not start", nil),
        79: (.hardware, "the GPU has fallen off the bus", nil),
        80: (.application, "corrupted data sent to the GPU", nil),
        82: (.application, "JPEG engine error", nil),
        83: (.application, "video decoder error", nil),
        84: (.application, "video decoder error", nil),
        85: (.application, "copy engine error", nil),
        86: (.application, "optical flow engine exception", nil),
        88: (.application, "video decoder error", nil),
        89: (.application, "video decoder error", nil),
        92: (.information, "many corrected (single bit) ECC errors", "Watch it; tell the platform if it goes on."),
        94: (
            .application, "contained memory error: only the program that met it is affected",
            "Restart the program; a reset when convenient."
        ),
        95: (.reset, "uncontained memory error: every program on the GPU may have wrong data", nil),
        109: (
            .reset, "context switch timeout", "Restart the program; if it comes again, ask the platform for a reset."
        ),
        110: (.reset, "security fault", nil),
        119: (.reset, "the GPU's system processor (GSP) did not answer", nil),
        120: (.reset, "error in the GPU's system processor (GSP)", nil),
        121: (.information, "corrected errors on the link to the CPU", nil),
        136: (.reset, "link training failed", nil),
        137: (.application, "illegal access over NVLink", nil),
        140: (.reset, "uncorrectable ECC error that could not be repaired", nil),
        141: (.information, "CUDA fast path error", nil),
        143: (.reset, "the GPU could not be initialized", nil),
        144: (.reset, "NVLink error (SAW)", nil),
        145: (.reset, "NVLink error (RLW)", nil),
        146: (.reset, "NVLink error (TLW)", nil),
        147: (.reset, "NVLink error (TREX)", nil),
        148: (.reset, "NVLink error (NVLPW)", nil),
        149: (.reset, "NVLink error (NETIR)", nil),
        150: (.reset, "NVLink error (MSE)", nil),
        151: (.hardware, "key rotation error (confidential computing)", nil),
        154: (.information, "the recovery action changed", "See the recovery action; it names what the GPU needs."),
        155: (.reset, "NVLink taken down by software", nil),
        156: (.reset, "a part of the GPU is taken out of use", nil),
        157: (.information, "no spare part left to repair with", "Tell the platform; the same fault may come again."),
        158: (.reset, "fatal timeout in the GPU", nil),
        160: (.information, "a memory channel is taken out of use", nil),
        161: (.information, "a memory channel could not be taken out of use", nil),
        167: (.hardware, "fatal PCIe timeout", nil),
        168: (.hardware, "less GPU memory than there should be", nil),
        171: (.information, "the uncorrectable error (XID 48) was in DRAM", nil),
        172: (.information, "the uncorrectable error (XID 48) was in SRAM", nil),
    ]
}
