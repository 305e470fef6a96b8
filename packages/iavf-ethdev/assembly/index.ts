// The kernels of iavf-ethdev as its data module and its control side call them: all arguments u32, arena offsets.
export { iavf_rx_burst, iavf_rx_fill, iavf_rx_release } from "./rx";
export { iavf_tx_burst, iavf_tx_reclaim, iavf_tx_release } from "./tx";
